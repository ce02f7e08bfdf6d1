"""What a header writes where no contrast medium was given."""

from typing import Final

NO_CONTRAST: Final = frozenset({"", "NONE", "NO", "N", "NO CONTRAST", "WITHOUT", "WITHOUT CONTRAST", "N/A", "NA", "0"})
