"""The whole of config.toml: its tables, all frozen."""

from pydantic import Field

from ichnode.config.analysis import OnsetSection, Quality, Work
from ichnode.config.node import Node, Retention, Schedule
from ichnode.config.receiving import Receive, RuleSection, Series
from ichnode.config.remotes import DestinationSection, ModalitySection, PacsSection
from ichnode.config.reporting import Report
from ichnode.config.tls import Tls
from ichnode.config.trail import Audit
from ichnode.config.values import Section
from ichnode.domain.profile import Profile, distinct


class Config(Section):
    """The whole of config.toml."""

    node: Node = Field(Node(), description="")
    receive: Receive
    series: Series = Field(Series(), description="")
    rule: tuple[RuleSection, ...] | None = Field(None, description="")
    work: Work = Field(Work(), description="")
    onset: tuple[OnsetSection, ...] = Field((), description="")
    quality: Quality = Field(Quality(), description="")
    report: Report = Field(Report(), description="")
    destination: tuple[DestinationSection, ...] = Field((), description="")
    pacs: tuple[PacsSection, ...] = Field((), description="")
    modality: tuple[ModalitySection, ...] = Field((), description="")
    tls: Tls = Field(Tls(), description="")
    retention: Retention = Field(Retention(), description="")
    schedule: Schedule = Field(Schedule(), description="")
    audit: Audit = Field(Audit(), description="")

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """In which forms results are made: those of all destinations, each once."""
        return distinct(destination.profile for destination in self.destination)

    @property
    def accepted_also(self) -> tuple[str, ...]:
        """The SOP classes taken beside CT: those stated and, unless there are none, all that destinations are given.

        A PACS that forwards whole studies sends our objects back, and stops at the first class that is refused.
        """
        stated = self.receive.accept_also
        given = {uid for profile in self.profiles for uid in profile.sop_classes} if stated else set()
        return (*stated, *sorted(given - set(stated)))
