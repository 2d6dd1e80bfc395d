"""What a table says, in one paragraph: who leads, by how much, and what cannot be told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import isfinite
from typing import Final

from torchcross._kit.counts import count_text
from torchcross._kit.listed_names import first_names, listed_names
from torchcross.records.shots import ALL_SHOTS
from torchcross.report.against_chance import chance_sentences
from torchcross.report.numbers import p_text, shots_title
from torchcross.report.standings import Standing, favours_against_means, standings
from torchcross.report.summary import Summary
from torchcross.report.value_words import range_text, value_text
from torchcross.statistics import Across
from torchcross.statistics.best_names import names_of_best

_TEST: Final = "Wilcoxon's signed-rank test over targets"
_MANY: Final = 6
"""So many names are counted where they are all there are."""

_ONE_TARGET: Final = "One target says nothing of others: a test over targets needs more of them."
_NARROW: Final = (
    "The interval leaves out 0 though the test does not separate the two: it is for this pair alone"
    " and takes differences over targets as normal; the test ranks them, and is corrected for all"
    " pairs."
)
_WIDE: Final = (
    "The interval holds 0 though the test separates the two: it takes differences over targets as"
    " normal, and a few large ones widen it; the test ranks them."
)


def answer(summary: Summary) -> str:
    """The paragraph."""
    return " ".join(answer_parts(summary))


def answer_parts(summary: Summary) -> list[str]:
    """The sentences of each number of shots, in their order; before them what concerns all."""
    parts = list(_groups_apart(summary))
    for shots in summary.shots:
        sentences = " ".join(_sentences(summary, shots))
        # Named in full and explained once.
        if any(_TEST in part for part in parts):
            sentences = sentences.replace(_TEST, "The same test")
        if any(_ONE_TARGET in part for part in parts):
            sentences = sentences.replace(f"{_ONE_TARGET} ", "").removesuffix(f" {_ONE_TARGET}")
        for reason in (_NARROW, _WIDE):
            if any(reason in part for part in parts):
                short = f"{reason.partition(':')[0]}, for the same reason."
                sentences = sentences.replace(reason, short)
        parts.append(sentences)
    return [part for part in parts if part]


def _groups_apart(summary: Summary) -> Iterator[str]:
    """That rows of several groups have no target in common, where that is so."""
    groups = _groups(summary)
    if len(groups) > 1:
        listed = "; ".join(
            f"{first_names(names)} ({count_text(len(targets), 'targets')})"
            for names, targets in groups
        )
        yield (
            f"These {len(groups)} groups of rows share no target, and are not compared with one"
            f" another: {listed}."
        )


def _groups(summary: Summary) -> list[tuple[list[str], set[str]]]:
    """(rows, their targets): two rows with a common target are of one group."""
    targets: dict[str, set[str]] = {}
    for target, name, _ in summary.cells:
        targets.setdefault(name, set()).add(target)
    groups: list[tuple[list[str], set[str]]] = []
    for name in summary.algorithms:
        own, apart = ([name], targets.get(name, set())), []
        if not own[1]:
            continue
        for names, shared in groups:
            if shared & own[1]:
                own = ([*names, *own[0]], shared | own[1])
            else:
                apart.append((names, shared))
        groups = [*apart, own]
    return groups


def _sentences(summary: Summary, shots: int | None) -> Iterator[str]:
    across = summary.across.get(shots)
    if across is None:
        yield from _alone(summary, shots)
        return
    if not across.targets:
        yield f"{_place(shots)}no target has a score of every algorithm, so that none leads."
        return
    places = standings(across)
    leaders = [each for each in places if each.is_first]
    others = [each for each in places if not each.is_first]
    yield _lead(summary, across, shots, leaders, others)
    yield from _rank_leaders(across, leaders)
    if across.pairs and not across.not_averaged:
        yield from _tests(across, leaders, others)
    yield from chance_sentences(summary, across, shots, [each.name for each in places])


def _alone(summary: Summary, shots: int | None) -> Iterator[str]:
    """Of shots at which one algorithm was scored."""
    for name in summary.algorithms:
        mean = summary.mean_of((name, shots))
        if isfinite(mean):
            value = value_text(summary, mean)
            what = "reaches" if shots == ALL_SHOTS else "is alone, with"
            yield f"{_place(shots)}{name} {what} a mean {_metric(summary)} of {value}."


def _lead(
    summary: Summary,
    across: Across,
    shots: int | None,
    leaders: Sequence[Standing],
    others: Sequence[Standing],
) -> str:
    targets = count_text(len(across.targets), "targets")
    leader, names = leaders[0], listed_names([each.name for each in leaders])
    if across.not_averaged:
        how = "leads by its" if len(leaders) == 1 else "share the lead by their"
        return (
            f"{_place(shots)}{names} {how} mean rank of {leader.rank:.2f} over {targets}: scores in"
            " different grades have no mean."
        )
    leads = "leads" if len(leaders) == 1 else "share the lead"
    value = value_text(summary, leader.mean)
    if len(across.targets) == 1:
        text = f"with {value} ({_metric(summary)}) on {across.targets[0]}"
    else:
        text = f"with a mean {_metric(summary)} of {value} over {targets}"
    text = f"{_place(shots)}{names} {leads} {text}"
    if not others:
        return f"{text}."
    means = {each.name: each.mean for each in others}
    seconds = names_of_best(means, lower_is_better=across.lower_is_better)
    gap = _gap(summary, abs(leader.mean - others[0].mean))
    side = "below" if across.lower_is_better else "above"
    # Pairs with equal means have different intervals.
    is_one_pair = len(leaders) == len(seconds) == 1
    bounds = _bounds(summary, across, others[0]) if is_one_pair else ""
    return f"{text}, {gap} {side} {listed_names(seconds)}{bounds}."


def _bounds(summary: Summary, across: Across, second: Standing) -> str:
    """Of how far the leader is ahead."""
    low, high = _ahead(across, second)
    if not (isfinite(low) and isfinite(high)):
        count = len(across.targets)
        return " (no interval: two targets are too few)" if count == 2 else ""
    uncorrected = ", uncorrected" if len(across.pairs) > 1 else ""
    return (
        f" ({100 * across.level:g} % interval over targets by Student's t{uncorrected}:"
        f" {range_text(summary, low, high)})"
    )


def _ahead(across: Across, second: Standing) -> tuple[float, float]:
    if across.lower_is_better:
        return -second.high, -second.low
    return second.low, second.high


def _rank_leaders(across: Across, leaders: Sequence[Standing]) -> Iterator[str]:
    best = min(rank for rank in across.ranks if isfinite(rank))
    names = [
        name for name, rank in zip(across.algorithms, across.ranks, strict=True) if rank == best
    ]
    if not {each.name for each in leaders} <= {*names}:
        have = "has" if len(names) == 1 else "have"
        yield f"{listed_names(names)} {have} the best mean rank, {best:.2f}."


def _tests(
    across: Across, leaders: Sequence[Standing], others: Sequence[Standing]
) -> Iterator[str]:
    if len(across.targets) == 1:
        yield _ONE_TARGET
        return
    subject = f"{_TEST} (with Holm's correction over {_pairs(across)})"
    them = "it" if len(leaders) == 1 else "them"
    if favours := favours_against_means(across):
        favoured = [f"{better} over {worse} (p {p_text(p)})" for better, worse, p in favours]
        yield (
            f"{subject} favours {listed_names(favoured)}, unlike the means: it ranks the"
            " differences over targets, and a few large ones decide a mean."
        )
        subject, them = "It", listed_names([each.name for each in leaders])
    below = [each for each in others if each.is_separate]
    tied = [each for each in others if not each.is_separate and not each.is_favoured]
    if below and tied:
        leading = listed_names([each.name for each in leaders])
        yield (
            f"{subject} separates {leading} from {_names(below, max)}, and not from"
            f" {_names(tied, min)}."
        )
    elif below:
        names = _names(below, max, "each of the other" if len(below) == len(others) else "")
        yield f"{subject} separates {them} from {names}."
    elif tied:
        few = "; with so few targets it can separate none" if across.power_warnings else ""
        names = _names(tied, min, "any of the other" if len(tied) == len(others) else "")
        yield f"{subject} does not tell {them} apart from {names}{few}."
    beaten = [name for name in across.algorithms if _is_beaten_by_all(across, name)]
    if beaten and len(across.algorithms) > 2:
        yield f"All others beat {listed_names(beaten)} by this test."
    if len(leaders) == 1:
        yield from _contradiction(across, others)


def _contradiction(across: Across, others: Sequence[Standing]) -> Iterator[str]:
    """Why the interval of the first two and their test do not agree, where they do not."""
    if not others or others[0].is_favoured or not isfinite(others[0].p):
        return
    low, _ = _ahead(across, others[0])
    if low > 0 and not others[0].is_separate:
        yield _NARROW
    elif low <= 0 and others[0].is_separate:
        yield _WIDE


def _names(
    standings: Sequence[Standing], least: Callable[[Iterable[float]], float], all_of: str = ""
) -> str:
    """The names with their p values: of several, with the one that bounds all.

    `all_of`: the words before the number of names, where that says which they are.
    """
    names = [each.name for each in standings]
    is_short = not all_of or len(names) < _MANY
    text = listed_names(names) if is_short else f"{all_of} {len(names)}"
    known = [each.p for each in standings if isfinite(each.p)]
    if not known:
        return text
    bound = p_text(least(known))
    if len(names) == 1:
        return f"{names[0]} (p {bound})"
    side = "less" if least is max else "more"
    return f"{text} (p {bound}{'' if bound == '1' else f' or {side}'})"


def _is_beaten_by_all(across: Across, name: str) -> bool:
    """Whether the test of every pair with this algorithm favours the other one."""
    own = [pair for pair in across.pairs if name in (pair.first, pair.second)]
    return all(across.better_by_test(pair) not in ("", name) for pair in own)


def _place(shots: int | None) -> str:
    if shots is None:
        return ""
    return "With all labels, " if shots == ALL_SHOTS else f"At {shots_title(shots)}, "


def _metric(summary: Summary) -> str:
    return summary.notation.title.removesuffix(" (%)").removeprefix("mean ") or "score"


def _gap(summary: Summary, value: float) -> str:
    text = summary.notation.text(value)
    return f"{text} percentage points" if summary.notation.factor == 100 else text


def _pairs(across: Across) -> str:
    return "the one pair" if len(across.pairs) == 1 else f"{len(across.pairs)} pairs"
