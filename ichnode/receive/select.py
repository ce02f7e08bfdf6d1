"""Which series of a study are analysed: what the rules leave, and the best of that. Every series gets a reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from ichnode.domain.states import Decision
from ichnode.receive.rules import Action, Rule
from ichnode.receive.series_facts import SeriesFacts

SKIPPED = "not analysed: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What the best series of a study is: nearest to ``thickness_mm``, on a tie the lowest series number.

    ``analyse_incomplete``: whether a series with slices missing may be analysed at all (flagged).
    """

    thickness_mm: float = 5.0
    analyse_incomplete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    series: SeriesFacts
    is_forced: bool
    doubt: Rule | None  # the only_if_other rule that it matches: it is analysed for want of a better one only
    distance_mm: float

    @property
    def rank(self) -> tuple[bool, bool, bool, float]:
        """The smaller the better; equal ranks are told apart by series number."""
        return not self.is_forced, self.doubt is not None, self.series.missing > 0, self.distance_mm

    @property
    def order(self) -> tuple[tuple[bool, bool, bool, float], float, int]:
        """Total order of the candidates of a study."""
        number = float("inf") if self.series.number is None else self.series.number
        return self.rank, number, self.series.id


def decide_study(
    series: Sequence[SeriesFacts],
    rules: Sequence[Rule],
    preference: Preference,
    *,
    analysed_before: Sequence[SeriesFacts] = (),
) -> dict[int, tuple[Decision, str]]:
    """Decides on every series of a study, by id: at most one is analysed, and each gets its reason in words.

    ``analysed_before``: series of the study that were chosen when others had not come yet. A newcomer is analysed
    only if it is strictly better than the best of them.
    """
    decided: dict[int, tuple[Decision, str]] = {}
    candidates: list[_Candidate] = []
    for each in series:
        found = _judge(each, rules, preference)
        if isinstance(found, str):
            decided[each.id] = (Decision.SKIP, SKIPPED + found)
        else:
            candidates.append(found)
    earlier = [_ranked(each, rules, preference) for each in analysed_before]
    champion = min(earlier, key=lambda c: c.order) if earlier else None
    if candidates:
        best = min(candidates, key=lambda c: c.order)
        if champion is None or best.rank < champion.rank:
            champion = best
            decided[best.series.id] = (Decision.ANALYSE, _praise(best, len(candidates), bool(earlier)))
        for loser in (c for c in candidates if c is not champion):
            decided[loser.series.id] = (Decision.SKIP, SKIPPED + _why_not(loser, champion, champion in earlier))
    return {each.id: decided[each.id] for each in series}


def is_doubted(series: SeriesFacts, rules: Sequence[Rule]) -> bool:
    """Whether a series would be analysed only for want of a better one: a rule skips it where there is another."""
    return _ranked(series, rules, Preference()).doubt is not None


def _judge(series: SeriesFacts, rules: Sequence[Rule], preference: Preference) -> _Candidate | str:
    """The series as a candidate, or the reason why it is none."""
    for rule in rules:
        if rule.only_if_other or not rule.matches(series):
            continue
        if rule.action is Action.ANALYSE:
            return _ranked(series, rules, preference)
        return rule.reason(series, other="")
    if series.missing and not preference.analyse_incomplete:
        return f"{_slices(series.missing)} missing"
    return _ranked(series, rules, preference)


def _ranked(series: SeriesFacts, rules: Sequence[Rule], preference: Preference) -> _Candidate:
    matching = [rule for rule in rules if rule.matches(series)]
    doubt = next((rule for rule in matching if rule.only_if_other), None)
    first = next((rule for rule in matching if not rule.only_if_other), None)
    is_forced = first is not None and first.action is Action.ANALYSE
    # Without any thickness a series is worse than any that states one.
    distance = float("inf") if series.thickness_mm is None else abs(series.thickness_mm - preference.thickness_mm)
    return _Candidate(
        series=series, is_forced=is_forced, doubt=None if is_forced else doubt, distance_mm=round(distance, 1)
    )


def _praise(best: _Candidate, candidates: int, is_better: bool) -> str:
    facts = [f"{best.series.slices} slices"]
    if best.series.thickness_mm is not None:
        facts.insert(0, f"{best.series.thickness_mm:g} mm")
    if best.series.kernel:
        facts.append(f"kernel {best.series.kernel}")
    if best.series.missing:
        facts.append(f"{_slices(best.series.missing)} missing")
    among = "the only candidate" if candidates == 1 else f"best of {candidates} candidates"
    if is_better:
        among = "better than the series analysed before"
    return f"analysed: {among} ({', '.join(facts)})"


def _why_not(loser: _Candidate, champion: _Candidate, is_earlier: bool) -> str:
    mine, other = loser.series, champion.series
    if loser.doubt is not None and champion.doubt is None:
        return loser.doubt.reason(mine, other=other.name)
    verb = "was analysed before and is preferred" if is_earlier else "was preferred"
    if champion.is_forced and not loser.is_forced:
        return f"{other.name} of the same study {verb} by a rule of the site"
    if mine.missing and not other.missing:
        return f"{_slices(mine.missing)} missing; {other.name} of the same study, complete, {verb}"
    if loser.distance_mm != champion.distance_mm and mine.thickness_mm is not None and other.thickness_mm is not None:
        return (
            f"{other.name} ({other.thickness_mm:g} mm) of the same study {verb} to this {mine.thickness_mm:g} mm series"
        )
    return f"{other.name} of the same study {verb}, of the same rank"


def _slices(count: int) -> str:
    return "1 slice" if count == 1 else f"{count} slices"
