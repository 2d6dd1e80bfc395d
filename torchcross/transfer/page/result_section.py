"""The answer, what limits it, and the matrix of sources and targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torchcross._kit.counts import count_text
from torchcross._kit.listed_names import first_names
from torchcross.report.html import note, prose
from torchcross.report.markup import Markup, element, join
from torchcross.report.rank_matrix import MatrixCell, rank_matrix
from torchcross.transfer.page.analysis import Pair, StudyAnalysis, interval_text, number_text
from torchcross.transfer.page.words import baseline_words, metric_words, short_names
from torchcross.transfer.rankings import FEWEST_TARGETS
from torchcross.transfer.rankings.answer import no_inference_text
from torchcross.transfer.results import SELF, SETUPS
from torchcross.transfer.source_target import dataset_of, is_self_pair


def result_section(analysis: StudyAnalysis) -> Iterator[Markup]:
    yield element("p", answer(analysis), class_="answer")
    limits = list(dict.fromkeys(limitations(analysis)))
    if limits:
        items = element("ul", *(element("li", prose(text)) for text in limits))
        strong = element("strong", "What limits these numbers")
        yield element("div", strong, items, class_="warning")
    yield _matrix(analysis)
    yield note(join(_legend(analysis), " "))


def answer(analysis: StudyAnalysis) -> str:
    """What the study found, and whether any score beats the static rule: a sentence each."""
    own = analysis.contents.answer
    if analysis.judgement is not None:
        return f"{own} {analysis.judgement.answer}".lstrip()
    if own:
        return own
    if analysis.score_tables:
        return "Fewer than three sources: no ranking of them can be judged."
    return "No score and no distance is known, so no ranking can be judged."


def limitations(analysis: StudyAnalysis) -> Iterator[str]:
    """What a reader must know before using a number of the page."""
    contents, results = analysis.contents, analysis.contents.results
    yield from contents.cautions
    yield from _missing(analysis)
    yield from _without_gain(analysis)
    if contents.baseline == SELF:
        yield (
            "The baseline of a target is the source that was learned from it. Its training has seen"
            " the test folds, so it leaks: it is not what training on the target alone would reach."
        )
    if analysis.has_self_pairs:
        yield (
            "Pairs of a source that was learned from the target († in the table) leak: its training"
            " has seen the test folds. No ranking counts them; correlations are shown with and"
            " without them."
        )
    yield from _set_ups(analysis)
    if len(results.targets) < FEWEST_TARGETS:
        yield f"{no_inference_text(len(results.targets))}."
    yield from _stand_ins(analysis)


def _set_ups(analysis: StudyAnalysis) -> Iterator[str]:
    """Whether anything is known of other folds and other trainings."""
    contents = analysis.contents
    unknown = [f"{name}s" for name in SETUPS if name not in contents.setups]
    if len(unknown) == len(SETUPS):
        yield (
            "Values are as published; folds and training seeds are not known, so nothing says what"
            " other folds or another training would give."
        )
    elif unknown:
        yield f"Values are as published; {unknown[0]} are not known."
    elif len(contents.results.seeds) == 1:
        yield (
            "There is one training seed: intervals are over folds, and say nothing of what another"
            " training would give."
        )


def _missing(analysis: StudyAnalysis) -> Iterator[str]:
    missing = [pair for pair in analysis.matrix.missing if not is_self_pair(*pair)]
    if not missing:
        return
    names = first_names([f"{source} → {target}" for source, target in missing])
    pairs = count_text(analysis.matrix.values.size, "pairs")
    yield (
        f"{len(missing)} of {pairs} are missing or lack a fold ({names}). They are blank, and"
        " nothing is filled in."
    )


def _without_gain(analysis: StudyAnalysis) -> Iterator[str]:
    """The pairs whose baseline is known and has no ratio."""
    pairs = [pair for pair in analysis.differences if pair[0] != _baseline_on(analysis, pair[1])]
    lost = [pair for pair in pairs if pair not in analysis.gains]
    if not lost:
        return
    names = first_names([f"{source} → {target}" for source, target in lost])
    yield (
        f"No gain in percent for {len(lost)} of {count_text(len(pairs), 'pairs')} ({names}): a"
        f" value of {baseline_words(analysis.contents)} there is 0 or less, and has no ratio. These"
        " are in no plot and no correlation; the baseline `none` shows values in place of"
        " gains."
    )


def _stand_ins(analysis: StudyAnalysis) -> Iterator[str]:
    """Sources with equal distances to every target: one may stand in for the other."""
    for name, distances in analysis.contents.distances.items():
        table = distances.mean.without_self_pairs()
        by_row: dict[tuple[float, ...], list[str]] = {}
        for source, row in zip(table.sources, table.values, strict=True):
            # Counts, such as those of experts, are equal by chance.
            if len(row) > 1 and not (row == row.round()).all():
                by_row.setdefault(tuple(row), []).append(source)
        for sources in by_row.values():
            # Ways to learn one dataset have one distance.
            if len(set(map(dataset_of, sources))) > 1:
                yield (
                    f"{' and '.join(sources)} have the same distance `{name}` to every target: does"
                    " one stand in for the other?"
                )


def _matrix(analysis: StudyAnalysis) -> Markup:
    matrix = analysis.matrix
    columns = [f"on {short}" for short in short_names(matrix.targets).values()]
    order = _order_of_sources(analysis)
    rows = [
        (source, [_cell(analysis, (source, target)) for target in matrix.targets])
        for source in order
    ]
    results = analysis.contents.results
    counts = []
    if "fold" in analysis.contents.setups:
        counts.append(count_text(len(results.folds), "folds"))
    if len(results.seeds) > 1:
        counts.append(count_text(len(results.seeds), "training seeds"))
    means = f"mean over {' and '.join(counts)}" if counts else "as published"
    caption = f"{metric_words(analysis.contents)}, {means}"
    if analysis.contents.baseline:
        caption += f"; below it the gain over {baseline_words(analysis.contents)}, in percent"
    return rank_matrix(caption, "source", columns, rows)


def _order_of_sources(analysis: StudyAnalysis) -> list[str]:
    """By the mean rank share over targets, the best source first."""
    sums: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for (source, _), share in analysis.rank_shares.items():
        sums[source] += share  # type: ignore[assignment]
        counts[source] += 1
    return sorted(
        analysis.matrix.sources,
        key=lambda source: sums[source] / counts[source] if counts[source] else 2.0,
    )


def _cell(analysis: StudyAnalysis, pair: Pair) -> MatrixCell:
    if pair not in analysis.values:
        return MatrixCell(hint=f"{pair[0]} on {pair[1]}: missing")
    value = analysis.values[pair]
    more = ""
    if analysis.contents.baseline:
        more = _gain_text(analysis, pair)
    return MatrixCell(
        number_text(value.mean) + ("†" if is_self_pair(*pair) else ""),
        value.mean,
        more,
        analysis.rank_shares.get(pair, float("nan")),
        f"{pair[0]} on {pair[1]}: {interval_text(value)}",
    )


def _gain_text(analysis: StudyAnalysis, pair: Pair) -> str:
    source, target = pair
    if source == _baseline_on(analysis, target):
        return "baseline"
    interval = analysis.heights.get(pair)
    return "" if interval is None else interval_text(interval, 1, "+")


def _baseline_on(analysis: StudyAnalysis, target: str) -> str | None:
    """The source that the gains on a target are over."""
    contents = analysis.contents
    return contents.results.self_source(target) if contents.baseline == SELF else contents.baseline


def _legend(analysis: StudyAnalysis) -> Iterator[str]:
    yield "The darker a cell, the better its source ranks within the target; the best is bold."
    yield "Sources are in the order of their mean ranks."
    if analysis.contents.baseline and "fold" not in analysis.contents.setups:
        yield "A gain is value / baseline − 1."
    elif analysis.contents.baseline:
        yield (
            "A gain is the mean over folds of value / baseline − 1, both on the same fold; ± is"
            " half of a 95 % interval over folds."
        )
