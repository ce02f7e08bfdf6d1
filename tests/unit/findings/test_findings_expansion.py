import pytest

from ichnode.domain.errors import Rejected
from ichnode.findings.expansion import expanded


@pytest.mark.parametrize(
    ("baseline_ml", "followup_ml"),
    [(100, 106), (26.3, 32.3), (10, 13.3), (2.2, 2.926), (0.3, 0.399), (0, 6), (17.7, 24.0)],
)
def test_growth_by_6_ml_or_by_33_percent_is_expansion(baseline_ml, followup_ml):
    assert expanded(baseline_ml, followup_ml) is True


@pytest.mark.parametrize(
    ("baseline_ml", "followup_ml"), [(100, 105.9), (10, 13.2), (40, 20), (5, 5), (0, 0), (0, 5.9), (19, 24.9)]
)
def test_less_growth_is_none(baseline_ml, followup_ml):
    assert expanded(baseline_ml, followup_ml) is False


@pytest.mark.parametrize("volume_ml", [-1.0, float("nan"), float("inf")])
def test_a_volume_that_cannot_be_is_refused(volume_ml):
    with pytest.raises(Rejected, match="mL"):
        expanded(10.0, volume_ml)
    with pytest.raises(Rejected, match="mL"):
        expanded(volume_ml, 10.0)
