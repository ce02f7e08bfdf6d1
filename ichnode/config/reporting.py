"""config.toml: the objects."""

from pydantic import Field, ValidationInfo, field_validator

from ichnode.config.values import OneLine, Section


class SeriesNaming(Section):
    """Number and description of the series that a kind of object goes into."""

    number: int = Field(ge=1, le=2**31 - 1, description="SeriesNumber.")
    description: OneLine = Field(description="SeriesDescription: ASCII, and it must say RESEARCH.")

    @field_validator("description")
    @classmethod
    def _says_research(cls, description: str) -> str:
        if "RESEARCH" not in description:
            raise ValueError(f"must say RESEARCH, which {description!r} does not")
        return description


class Report(Section):
    """The objects."""

    seg: SeriesNaming = Field(
        SeriesNaming(number=9001, description="ICHNODE ICH segmentation (RESEARCH)"), description="DICOM-SEG."
    )
    sr: SeriesNaming = Field(
        SeriesNaming(number=9002, description="ICHNODE ICH report (RESEARCH)"), description="Structured report."
    )
    sc: SeriesNaming = Field(
        SeriesNaming(number=9003, description="ICHNODE ICH overlay (RESEARCH)"), description="Secondary capture."
    )
    kos: SeriesNaming = Field(
        SeriesNaming(number=9004, description="ICHNODE ICH key images (RESEARCH)"), description="Key object selection."
    )
    pdf: SeriesNaming = Field(
        SeriesNaming(number=9005, description="ICHNODE ICH summary (RESEARCH)"), description="Page one as PDF."
    )

    @field_validator("seg", "sr", "sc", "kos", "pdf", mode="before")
    @classmethod
    def _complete(cls, given: object, info: ValidationInfo) -> object:
        default = cls.model_fields[str(info.field_name)].default.model_dump()
        return default | given if isinstance(given, dict) else given
