"""ichnode: a DICOM node for head CT that finds the intracerebral haematoma and answers the PACS. Research only."""

from typing import Final

__version__: Final = "0.1.0"
