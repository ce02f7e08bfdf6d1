"""config.toml: the node itself, and what it does again and again."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from ichnode.config.values import AETitle, Days, OneLine, Seconds, Section


class Node(Section):
    """The node itself."""

    ae_title: AETitle = Field("ICHNODE", description="Our AE title, as called and as calling.")
    state_dir: Path = Field(Path("/var/lib/ichnode"), description="Folder of the queue, the images and the results.")
    serial: OneLine = Field("ICHNODE-0001", description="Device serial number of this installation.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")


class Retention(Section):
    """When files are deleted. What was not delivered is never deleted."""

    delivered_days: Days = Field(30, description="Images and objects of delivered results.")
    skipped_days: Days = Field(7, description="Images of series that were not analysed.")
    failed_days: Days = Field(90, description="Images of series whose analysis failed.")
    quarantine_days: Days = Field(180, description="Files in quarantine.")
    target_free_mb: int = Field(
        8192, ge=0, description="Below this free space the oldest delivered series go before their time."
    )


class Schedule(Section):
    """What is done again and again."""

    sweep_s: Seconds = Field(2, description="How often the receiver looks for complete series.")
    lease_sweep_s: Seconds = Field(15, description="How often jobs of dead workers are looked for.")
    echo_s: Seconds = Field(300, description="How often every destination and PACS is echoed.")
    retention_s: Seconds = Field(3600, description="How often files past their time are deleted.")
    reconcile_at: str = Field(
        "04:10", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="When disk and database are compared, each day."
    )
