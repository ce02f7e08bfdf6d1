"""config.toml: the worker, the time of onset, when a result is not to be believed."""

from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydicom.datadict import keyword_dict, tag_for_keyword

from ichnode.config.values import Pattern, Seconds, Section
from ichnode.domain.flags import Flag
from ichnode.domain.onset import OnsetMeaning


class Work(Section):
    """The worker."""

    weights: Path = Field(Path("weights/ich-zhong2021"), description="Folder of the weights; relative to this file.")
    device: Literal["auto", "cuda", "cpu", "torch-cpu"] = Field(
        "auto", description="`auto`: CUDA where there is one, else OpenVINO on the CPU (`cpu`)."
    )
    threads: int = Field(0, ge=0, description="CPU threads of a worker; 0: all cores.")
    job_limit_s: Seconds = Field(300, description="A job that takes longer is stopped and tried again.")
    attempts: int = Field(3, ge=1, description="Then the job has failed; an SR says so.")
    retry_delay_s: Seconds = Field(30, description="Wait before a job is tried again.")
    lease_s: Seconds = Field(60, description="A worker silent for this long has lost its job.")
    untrained_expansion: bool = Field(
        False, description="Report expansion (marked) even from weights not trained on patients' outcomes."
    )


class OnsetSection(Section):
    """Where a site sends the time of onset: the first that finds one decides. `ichnode onset` goes before all."""

    attribute: str = Field(description='Keyword or tag: "StudyComments", "(0032,4000)", private "(0033,xx01)".')
    creator: str = Field("", description="Private creator; for a private attribute alone.")
    pattern: Pattern = Field(description="Regular expression searched in its text, with named groups.")
    meaning: OnsetMeaning = Field(
        OnsetMeaning.DURATION,
        description="`duration` to CT: groups `hours`, `minutes`; `clock` of onset: `hour`, `minute`, maybe a date.",
    )

    @field_validator("attribute")
    @classmethod
    def _exists(cls, attribute: str) -> str:
        if attribute.isalnum() and tag_for_keyword(attribute) is None:
            near = get_close_matches(attribute, keyword_dict, 1)
            raise ValueError(f"is no keyword of DICOM: {attribute!r}" + (f"; is it {near[0]}?" if near else ""))
        return attribute


class Quality(Section):
    """When a result is not to be believed: docs/explanation/quality.md lists the flags."""

    refuse: tuple[str, ...] = Field(
        ("QF_HEAD", "QF_CONTRAST"), description="Flags that end in no analysis; all others are told as doubts."
    )

    @field_validator("refuse")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in Flag.__members__:
                raise ValueError(f"names no flag: {name!r}; there are {', '.join(Flag.__members__)}")
        return names
