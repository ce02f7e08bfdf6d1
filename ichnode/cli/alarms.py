"""What a person must look at, in words: for ``status`` and ``doctor``."""

import time
from collections.abc import Mapping
from typing import Final

from ichnode.app.certificates import certificate_faults
from ichnode.app.host import runs
from ichnode.app.wire import reported_to
from ichnode.cli.context import ago
from ichnode.config.config import Config
from ichnode.domain.states import DeliveryState, JobState, PromiseState, SeriesState
from ichnode.queue import views
from ichnode.queue.acknowledged import AlarmKind, kind_of
from ichnode.queue.database import Database

NODE_ALARMS_S: Final = 7 * 86400.0  # for how long the node's own alarms are shown
PATIENCE: Final = 3  # attempts to deliver a report after which it is an alarm
JOB_OVERDUE_S: Final = 3600.0  # a job that has waited for so long is an alarm
SERVICES: Final[Mapping[str, str]] = {"receive": "receiver", "work": "worker", "deliver": "deliverer"}
OVERDUE_S: Final = 86400.0  # a destination that has not taken an object for so long is an alarm


def read_status(db: Database) -> views.Status:
    """The queue at a glance, with the alarms of the last days."""
    return views.status(db, since=time.time() - NODE_ALARMS_S)


def running(config: Config) -> dict[str, bool]:
    """Which of the services run."""
    return {service: runs(config, service) for service in SERVICES}


def warnings(now: views.Status, config: Config) -> list[str]:
    """A sentence for each thing that may become an alarm: certificates in their last month, services that do not run
    while nothing waits for them."""
    waits = waiting_for(now)
    stopped = [f"no {SERVICES[name]} runs" for name, is_up in running(config).items() if not is_up and not waits[name]]
    return [*certificate_faults(config).warnings, *stopped]


def waiting_for(now: views.Status) -> dict[str, str]:
    """What waits for each service, in words; empty where nothing does."""
    arriving = now.series.get(SeriesState.RECEIVING, 0)
    jobs = sum(now.jobs.get(state, 0) for state in (JobState.QUEUED, JobState.RUNNING))
    to_go = {name: states.get(DeliveryState.PENDING, 0) for name, states in now.deliveries.items()}
    asked = sum(sum(kinds.values()) for kinds in now.awaited.values())
    told = now.promises.get(PromiseState.DUE, 0)
    for_deliverer = [f"{count} to go to {name}" for name, count in to_go.items() if count]
    for_deliverer += [f"{asked} to be committed or confirmed"] if asked else []
    for_deliverer += [f"{told} commitment reports to give"] if told else []
    return {
        "receive": f"{arriving} series still arriving" if arriving else "",
        "work": f"{jobs} jobs to be done" if jobs else "",
        "deliver": ", ".join(for_deliverer),
    }


def acknowledgeable(now: views.Status) -> list[AlarmKind]:
    """The kinds of alarms that `ichnode acknowledge` would end."""
    kinds = {kind_of(entry.text) for entry in now.node} | ({AlarmKind.QUARANTINE} if now.quarantined else set())
    return [kind for kind in AlarmKind if kind in kinds]


def alarms(now: views.Status, config: Config) -> list[str]:
    """A sentence an alarm: failures, refusals, quarantine, the node's own, and what nobody takes."""
    texts = _stopped(now, config)
    texts += [f"job {job['id']} failed: {job['reason']}" for job in now.failed]
    texts += _waiting(now)
    texts += [f"{d['kind']} of job {d['job_id']} is dead at {d['destination']}: {d['reason']}" for d in now.dead]
    texts += [f"{d['kind']} of job {d['job_id']} at {d['destination']}: {d['reason']}" for d in now.uncommitted]
    texts += [
        f"held, {ago(h['at'])}: results of study {h['study_instance_uid']}: {h['reason']}: look, then"
        " `ichnode release` it, or purge it and take it in anew (docs/explanation/identity.md)"
        for h in now.held
    ]
    reachable = {peer.ae_title for peer in reported_to(config)}
    texts += [
        _untold(peer)
        for peer in now.untold
        if peer["given_up"] or peer["attempts"] >= PATIENCE or peer["calling_ae"] not in reachable
    ]
    texts += [f"in quarantine, {ago(q['at'])}: {q['reason']} ({q['path']})" for q in now.quarantined]
    texts += [f"{ago(entry.at)}: {entry.text}" for entry in now.node]
    texts += certificate_faults(config).alarms
    configured = {destination.name for destination in config.destination}
    for name, since in now.overdue.items():
        if name not in configured:
            count = now.deliveries[name]["pending"]
            texts.append(f"{count} objects wait for {name}, which is no [[destination]] any more: put it back")
        elif time.time() - since > OVERDUE_S:
            texts.append(f"{name} has not taken an object from {ago(since)}")
    for name, kinds in now.awaited.items():
        if name not in configured:
            text = f"{sum(kinds.values())} objects are still to be committed or confirmed by {name}, which is no"
            texts.append(f'{text} [[destination]] any more: put it back, with commitment = "no" to let them go')
    return texts


def _stopped(now: views.Status, config: Config) -> list[str]:
    """Services that do not run while something waits for them."""
    todo = "start it: systemctl start ichnode.target, or `ichnode run`"
    waits = waiting_for(now)
    stopped = [name for name, is_up in running(config).items() if not is_up and waits[name]]
    return [f"no {SERVICES[name]} runs, and something waits for it ({waits[name]}): {todo}" for name in stopped]


def _waiting(now: views.Status) -> list[str]:
    """What jobs wait for in vain."""
    texts = [f"{row['count']} of the jobs given back, last {ago(row['at'])}: {row['reason']}" for row in now.unwritten]
    if now.waits_since is not None and time.time() - now.waits_since > JOB_OVERDUE_S:
        todo = "does a worker run? (systemctl status 'ichnode-work@*')"
        texts.append(f"the oldest job has waited from {ago(now.waits_since)}: {todo}")
    return texts


def _untold(peer: views.Row) -> str:
    """What one peer waits for."""
    many, given_up = peer["count"] > 1, peer["given_up"]
    what = f"{peer['count']} commitment reports, the first" if many else "a commitment report"
    number = f"{given_up} " if many else ""
    end = f"; {number}given up, until the deliverer is started again" if given_up else ""
    return f"{peer['calling_ae']} waits for {what} from {ago(peer['asked_at'])}: {peer['reason']}{end}"
