"""The figures of a result in lines, as ``ichnode show`` prints them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

STATES: Final = {True: "present", False: "absent", None: "undetermined"}


def told(row: Mapping[str, Any]) -> list[str]:
    """What a result measured, from its row of figures; the most important first, nothing that is not known."""
    facts = row["facts"]
    return [
        *_volume(row, facts),
        *_growth(row, facts.get("growth")),
        *_expansion(row),
        *_scores(facts),
        *(f"marker {m['name']}: {STATES[m['present']]} ({m['reason']})" for m in _present_first(facts)),
        *(_doubt(doubt) for doubt in facts.get("doubts") or ()),
    ]


def _volume(row: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    if facts.get("undetermined"):
        yield "undetermined: the brain could not be told from the rest of the image"
        return
    parts = facts.get("lesions_ml") or []
    several = f" in {len(parts)} parts" if len(parts) > 1 else ""
    side = f", {facts['laterality']}" if facts.get("laterality") else ""
    by_hand = f", ABC/2 {facts['abc2_ml']:.1f} mL" if facts.get("abc2_ml") is not None else ""
    dense = f", {facts['hu_mean']:.0f} ± {facts['hu_sd']:.0f} HU" if facts.get("hu_mean") is not None else ""
    yield f"volume {row['volume_ml']:.1f} mL{several}{side}{by_hand}{dense}"


def _growth(row: Mapping[str, Any], growth: Mapping[str, Any] | None) -> Iterator[str]:
    if growth is None:
        return
    percent = f" ({row['growth_percent']:+.0f} %)" if row["growth_percent"] is not None else ""
    fate = "expanded" if row["expanded"] else "not expanded"
    before = f"{growth['baseline_ml']:.1f} mL {growth['hours']:.1f} h before"
    yield f"growth {row['growth_ml']:+.1f} mL{percent} since {before}: {fate}"
    yield f"  baseline: study {growth['baseline_study']}, job {row['baseline_job_id']}"
    if growth["unregistered"]:
        yield f"  by volume alone: {growth['unregistered']}"


def _expansion(row: Mapping[str, Any]) -> Iterator[str]:
    if row["expansion_probability"] is not None:
        trained = "" if row["expansion_trained"] else ", from weights not trained on outcomes"
        chance, threshold = row["expansion_probability"], row["expansion_threshold"]
        yield f"expansion predicted {chance:.0%}, threshold {threshold:.0%}{trained}"


def _scores(facts: Mapping[str, Any]) -> Iterator[str]:
    onset = facts.get("onset")
    if onset:
        yield f"onset {onset['hours']:.2f} h before the CT ({onset['source']})"
    if facts.get("bat"):
        yield f"BAT {facts['bat']}"


def _present_first(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(facts.get("markers") or (), key=lambda marker: (True, None, False).index(marker["present"]))


def _doubt(doubt: Mapping[str, Any]) -> str:
    evidence = f" ({doubt['evidence']})" if doubt["evidence"] else ""
    return f"doubt {doubt['flag']}: {doubt['meaning']}{evidence}"
