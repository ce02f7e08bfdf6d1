"""``ichnode doctor``: is the node set up rightly? One line a check, and what to do."""

import errno
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

import typer
from sqlalchemy.exc import SQLAlchemyError

from ichnode.app.host import runs
from ichnode.app.wire import MIB, open_database_of, peer_of, scp_settings
from ichnode.cli.alarms import SERVICES, alarms, read_status, running
from ichnode.cli.check import Check, Verdict
from ichnode.cli.context import OUT, AsJson, Exit, ago, clock, options, print_json
from ichnode.cli.listening import is_held_with, sockets
from ichnode.cli.privacy import privacy
from ichnode.config.config import Config
from ichnode.config.file import load_config
from ichnode.deliver.echo import echo
from ichnode.domain.commitment import Commitment
from ichnode.domain.errors import IchnodeError
from ichnode.domain.outputs import Peer
from ichnode.domain.states import DeliveryState
from ichnode.queue.database import awaits_migration
from ichnode.queue.views import Status
from ichnode.receive.allow import peer_for

BELOW_1024: Final = "Ports below 1024 are not for everyone: docs/how-to/install.md, 'Port 104'."
RELEASED_AT: Final = 1795305600  # 2026-11-22: a clock before this is wrong


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Check configuration, folders, queue, weights, port, peers, clock, modes, certificates. Exit code 1: one fails."""
    try:
        path = options(context).path()
        config = load_config(path)
    except IchnodeError as error:
        checks = [Check(Verdict.FAIL, "configuration", str(error), error.hint)]
    else:
        checks = [Check(Verdict.OK, "configuration", str(path)), *_checks(config), *privacy(config, path)]
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            style = {Verdict.OK: None, Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}[check.verdict]
            OUT.print(f"{check.verdict:4}  {check.what}: {check.text}", style=style, markup=False, soft_wrap=True)
            if check.todo and check.verdict != Verdict.OK:
                OUT.print(f"      -> {check.todo}", markup=False, soft_wrap=True)
    failed = any(check.verdict == Verdict.FAIL for check in checks)
    raise typer.Exit(Exit.NO if failed else Exit.OK)


def _checks(config: Config) -> Iterator[Check]:
    yield from _folders(config)
    yield _weights(config)
    yield check_port(config)
    if config.receive.tls_port is not None:
        yield _tls_port(config, config.receive.tls_port)
    for remote in [*config.destination, *config.pacs]:
        yield _peer(peer_of(config, remote))
    if not config.destination:
        todo = "Add a [[destination]]: results stay on this machine alone."
        yield Check(Verdict.WARN, "destinations", "none is configured", todo)
    if any(peer.ae_title == "*" and peer.network.prefixlen == 0 for peer in config.receive.peer):
        todo = "Name the AE titles and networks of your PACS and modalities under [[receive.peer]]."
        yield Check(Verdict.WARN, "allowed peers", "anyone may send", todo)
    yield _clock()


def _folders(config: Config) -> Iterator[Check]:
    folder = config.node.state_dir
    if not folder.exists():  # made here it would be this user's, and the service's no more
        yield Check(
            Verdict.WARN, "state folder", f"{folder} is not there yet", "The services make it, or the installer."
        )
        return
    try:
        if awaits_migration(folder / "queue.sqlite"):  # an upgrade asks us while the earlier version runs
            todo = "Back it up, then restart the services: docs/how-to/upgrade.md."
            yield Check(Verdict.WARN, "queue", "an earlier version's: migrated when the services start", todo)
            return
        with_db = open_database_of(config)
    except IchnodeError as error:
        yield Check(Verdict.FAIL, "state folder", str(error), error.hint)
        return
    except SQLAlchemyError as error:
        todo = "Move queue.sqlite aside, or put a backed-up one in its place (docs/how-to/install.md)."
        yield Check(Verdict.FAIL, "queue", f"{folder / 'queue.sqlite'} cannot be used ({type(error).__name__})", todo)
        return
    writable = os.access(folder, os.W_OK | os.X_OK)
    if not writable:
        todo = "Run as the user of the service: `sudo -u ichnode ichnode doctor` (docs/how-to/install.md)."
        yield Check(Verdict.FAIL, "state folder", f"{folder} is not writable for this user", todo)
    else:
        yield Check(Verdict.OK, "state folder", f"{folder}")
    free = shutil.disk_usage(folder).free // MIB
    floor, target = config.receive.min_free_mb, config.retention.target_free_mb
    todo = "Free space there: under the floor every image is refused (0xA700)."
    verdict = Verdict.FAIL if free < floor else Verdict.WARN if free < target else Verdict.OK
    yield Check(verdict, "disk", f"{free} MiB free, floor {floor} MiB", todo)
    now = read_status(with_db)
    with_db.close()
    yield _queue(now, config)
    yield _services(config)
    yield from _commitment(now, config)


def _queue(now: Status, config: Config) -> Check:
    """What waits. What was tried in vain is a warning before it is an alarm."""
    found = len(alarms(now, config))
    waiting = [f"oldest job is from {ago(now.oldest_waiting_at)}"] if now.oldest_waiting_at else []
    for name, since in now.overdue.items():
        count = now.deliveries[name][DeliveryState.PENDING]
        waiting.append(f"{count} {'object waits' if count == 1 else 'objects wait'} for {name} since {clock(since)}")
    text = f"{', '.join(waiting) or 'nothing waits'}, {found} {'alarm' if found == 1 else 'alarms'}"
    todo = "`ichnode status` lists them." if found else "`ichnode status` says why."
    return Check(Verdict.WARN if found or now.undelivered else Verdict.OK, "queue", text, todo)


def _services(config: Config) -> Check:
    """Which services do not run; that something waits for one is among the alarms."""
    stopped = [SERVICES[name] for name, is_up in running(config).items() if not is_up]
    if not stopped:
        return Check(Verdict.OK, "services", "receiver, worker and deliverer run")
    todo = "systemctl start ichnode.target, or `ichnode run`."
    return Check(Verdict.WARN, "services", ", ".join(f"no {name} runs" for name in stopped), todo)


def _commitment(now: Status, config: Config) -> Iterator[Check]:
    """What was learnt of the destinations that are asked for storage commitment."""
    for destination in config.destination:
        known = now.abilities.get(destination.name)
        if known is None or destination.commitment == Commitment.NO:
            continue
        text = f"{destination.name} {'commits' if known['commits'] else 'offers none'}, asked {ago(known['at'])}"
        text += f": {known['reason']}" if known["reason"] else ""
        yield Check(Verdict.OK, "storage commitment", text)


def _weights(config: Config) -> Check:
    from ichnode.model.weights import check_weights  # loads torch

    try:
        identity = check_weights(config.work.weights)
    except IchnodeError as error:
        return Check(Verdict.FAIL, "weights", str(error), error.hint)
    text = f"{identity.name} {identity.version}, sha256 {identity.sha256[:12]} as its card says"
    return Check(Verdict.OK, "weights", text)


def check_port(config: Config) -> Check:
    """The port for plain text: free, or the receiver answers on it."""
    host, port, title = config.receive.host, config.receive.port, config.node.ae_title
    nobody = _nobody_there(config, "port", port)
    if nobody is not None:
        return nobody
    here = "127.0.0.1" if host in ("", "0.0.0.0") else host
    if peer_for(scp_settings(config).allow, title, here) is None:  # it would be refused, with an alarm
        return _by_lock(config, "port", port, f"; it does not admit {title}, so no C-ECHO was tried")
    answer = echo(Peer(name="the receiver", host=here, port=port, ae_title=title, calling_ae_title=title))
    if answer.ok:
        return Check(Verdict.OK, "port", f"{port}: the receiver listens and answers C-ECHO")
    return Check(Verdict.WARN, "port", f"{host}:{port} is taken; {answer.reason}", "Another program may hold the port.")


def _tls_port(config: Config, port: int) -> Check:
    """The port for TLS. No C-ECHO: the receiver need not let us in, and whoever fails to show a certificate is an
    alarm."""
    return _nobody_there(config, "TLS port", port) or _by_lock(config, "TLS port", port)


def _nobody_there(config: Config, what: str, port: int) -> Check | None:
    """Whether the receiver could listen on a port that is not taken; None where somebody listens there already."""
    place = f"{config.receive.host}:{port}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.receive.host, port))
        except OSError as error:
            forbidden = error.errno == errno.EACCES  # whether it is taken or not
            if error.errno == errno.EADDRINUSE or (forbidden and sockets(port)):
                return None
            todo = BELOW_1024 if forbidden else "receive.host has to be an address of this machine."
            return Check(Verdict.WARN, what, f"{place} cannot be opened by this user: {error.strerror}", todo)
    return Check(Verdict.OK, what, f"{place} is free; no receiver listens there")


def _by_lock(config: Config, what: str, port: int, more: str = "") -> Check:
    """Whether our receiver holds a port that is taken, where it is not asked itself."""
    place = f"{config.receive.host}:{port} is taken"
    if not runs(config, "receive"):
        return Check(Verdict.WARN, what, f"{place}, and the receiver does not run", "Find out by whom: ss -ltnp.")
    match is_held_with(config.node.state_dir / "receive.lock", port):
        case True:
            return Check(Verdict.OK, what, f"{port}: the receiver listens{more}")
        case None:
            return Check(Verdict.OK, what, f"{place}; by the receiver? Only the user of the service can see that")
    todo = "Find out by whom: ss -ltnp. A port that was just configured is the receiver's once it is started again."
    return Check(Verdict.WARN, what, f"{place}, and not by the receiver, which runs", todo)


def _peer(peer: Peer) -> Check:
    answer = echo(peer)
    if answer.ok:
        return Check(Verdict.OK, peer.name, f"answers C-ECHO in {answer.seconds * 1000:.0f} ms")
    return Check(Verdict.FAIL, peer.name, answer.reason.removeprefix(f"{peer.name}: "), answer.hint)


def _clock() -> Check:
    if time.time() < RELEASED_AT:
        return Check(Verdict.FAIL, "clock", time.strftime("it says %Y-%m-%d"), "Set the clock; use NTP.")
    text = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    control = shutil.which("timedatectl")
    if control:
        command = [control, "show", "--property=NTPSynchronized", "--value"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
        if told == "no":
            return Check(Verdict.WARN, "clock", f"{text}, not synchronised", "Switch NTP on: timedatectl set-ntp true.")
    return Check(Verdict.OK, "clock", text)
