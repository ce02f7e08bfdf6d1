"""Who the node says it is, in every object that it writes, and how it knows its own objects again."""

from typing import Final

MANUFACTURER: Final = "ichnode open source project"
MODEL_NAME: Final = "ichnode"
RESEARCH_NOTICE: Final = "RESEARCH ONLY - NOT FOR DIAGNOSTIC USE"


def is_ours(*, manufacturer: str, model_name: str) -> bool:
    """Whether an object with this Manufacturer (0008,0070) and ManufacturerModelName (0008,1090) is one of ours."""
    return manufacturer.strip() == MANUFACTURER and model_name.strip() == MODEL_NAME
