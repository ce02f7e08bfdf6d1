import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("ICHNODE_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"real head CT not found at {DATA}; set ICHNODE_DATA")
    return DATA
