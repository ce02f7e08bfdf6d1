"""What the rooms are given of the configuration, each in its own words."""

from typing import Final

from ichnode.config.config import Config
from ichnode.config.receiving import AllowedPeer as PeerSection
from ichnode.config.remotes import DestinationSection, Remote
from ichnode.deliver.backoff import Backoff
from ichnode.deliver.destination import Destination
from ichnode.deliver.parcel import INTERCHANGEABLE
from ichnode.domain.errors import ConfigError
from ichnode.domain.outputs import Peer
from ichnode.domain.tls import PeerTls
from ichnode.queue.database import Database, open_database
from ichnode.receive.allow import AllowedPeer
from ichnode.receive.complete import Limits as SettleLimits
from ichnode.receive.rules import DEFAULT_RULES, Rule
from ichnode.receive.select import Preference
from ichnode.receive.settings import ScpSettings, TlsPort
from ichnode.receive.settle import SweepSettings
from ichnode.store.layout import Store

MIB: Final = 2**20


def store_of(config: Config) -> Store:
    """The store in the state folder, its folders made. Raises ConfigError when they cannot be."""
    store = Store(root=config.node.state_dir)
    try:
        store.make_folders()
    except OSError as error:
        hint = "Make node.state_dir writable for this user, or run as the user of the service."
        raise ConfigError(f"The state folder {store.root} cannot be used: {error.strerror}.", hint=hint) from error
    return store


def open_database_of(config: Config) -> Database:
    """The queue of this node. Raises ConfigError when its folder cannot be used."""
    return open_database(store_of(config).root / "queue.sqlite")


def peer_of(config: Config, remote: Remote) -> Peer:
    """A destination or PACS as the rooms know it."""
    return Peer(
        name=remote.name,
        host=remote.host,
        port=remote.port,
        ae_title=remote.ae_title,
        calling_ae_title=config.node.ae_title,
        tls=PeerTls(files=config.tls.files, name=remote.tls_name or remote.host) if remote.tls else None,
    )


def destinations_of(config: Config) -> list[Destination]:
    """Where results go."""
    return [
        Destination(
            peer=peer_of(config, d),
            objects=frozenset(d.objects),
            profile=d.profile.name,
            not_analysed=d.not_analysed,
            transfer_syntaxes=INTERCHANGEABLE if d.implicit_vr else INTERCHANGEABLE[:1],
            commitment=d.commitment,
            commitment_wait_s=d.commitment_wait_s,
            confirm_at=_confirm_at(config, d),
            identity_at=next((peer_of(config, p) for p in config.pacs if p.name == config.series.identity_from), None),
            backoff=Backoff(first_s=d.first_retry_s, max_s=max(d.first_retry_s, d.max_retry_s)),
        )
        for d in config.destination
    ]


def reported_to(config: Config) -> list[Peer]:
    """Where reports on storage commitment go, to each AE title one place: what [[modality]] says before all else."""
    remotes: list[Remote] = [*config.modality, *config.destination, *config.pacs]
    by_title = {remote.ae_title: remote for remote in reversed(remotes)}
    return [peer_of(config, remote) for remote in by_title.values()]


def _confirm_at(config: Config, destination: DestinationSection) -> Peer | None:
    """Who is asked whether a destination has what it was sent."""
    if not destination.confirm:
        return None
    named = next((p for p in config.pacs if p.name == destination.confirm_from), None)
    return peer_of(config, named or destination)


def rules_of(config: Config) -> tuple[Rule, ...]:
    """The rules of the configuration; the default ones where it has none."""
    if config.rule is None:
        return DEFAULT_RULES
    return tuple(Rule(**rule.model_dump()) for rule in config.rule)


def preference_of(config: Config) -> Preference:
    """Which of several candidates is the best."""
    incomplete = config.series.incomplete == "analyse"
    return Preference(thickness_mm=config.series.prefer_thickness_mm, analyse_incomplete=incomplete)


def sweep_settings(config: Config) -> SweepSettings:
    """When a series is complete and a study is decided."""
    return SweepSettings(
        limits=SettleLimits(quiet_s=config.series.quiet_s, give_up_s=config.series.give_up_s),
        study_quiet_s=config.series.study_quiet_s,
        rules=rules_of(config),
        preference=preference_of(config),
    )


def scp_settings(config: Config) -> ScpSettings:
    """How the SCP listens."""
    receive, tls = config.receive, config.tls
    tls_port = None
    if receive.tls_port is not None:
        tls_port = TlsPort(port=receive.tls_port, files=tls.files, mutual=tls.mutual)
    return ScpSettings(
        ae_title=config.node.ae_title,
        host=receive.host,
        port=receive.port,
        allow=tuple(_allowed(p) for p in receive.peer),
        floor_bytes=receive.min_free_mb * MIB,
        accept_also=config.accepted_also,
        reported_later=frozenset(peer.ae_title for peer in reported_to(config)),
        maximum_associations=receive.max_associations,
        acse_timeout_s=receive.acse_timeout_s,
        dimse_timeout_s=receive.dimse_timeout_s,
        network_timeout_s=receive.network_timeout_s,
        maximum_pdu_bytes=receive.max_pdu_bytes,
        maximum_instance_bytes=receive.max_instance_mb * MIB,
        maximum_bytes_in_memory=receive.max_memory_mb * MIB,
        tls=tls_port,
    )


def _allowed(peer: PeerSection) -> AllowedPeer:
    return AllowedPeer(
        ae_title=peer.ae_title,
        network=str(peer.network),
        may=frozenset(peer.may),
        tls_required=peer.tls == "required",
        tls_names=peer.tls_names,
        max_associations=peer.max_associations,
        max_per_minute=peer.max_per_minute,
        max_instance_bytes=None if peer.max_instance_mb is None else peer.max_instance_mb * MIB,
    )
