"""The best, the median and the worst episode of a cell, and what was predicted in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from torchcross.metrics.reference_values import lower_is_better
from torchcross.records import Records
from torchcross.report.cells import CellKey
from torchcross.report.episode_answers import AnswersKey, EpisodeAnswers, QueryAnswer
from torchcross.report.episode_pictures import answer_digits, episode_pictures, share_text, sign_of
from torchcross.report.html import TableCell, TableColumn, sortable_table
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import shots_title
from torchcross.report.summary import Summary

PICKS = ("best", "median", "worst")


@dataclass(frozen=True)
class PickedEpisode:
    """An episode of one training seed, and its score."""

    seed: int
    episode: int
    value: float


Picks = Mapping[CellKey, Sequence[PickedEpisode]]


def picked_episodes(records: Records, metric: str) -> dict[CellKey, tuple[PickedEpisode, ...]]:
    """The best, median and worst episode of each cell by its defined scores, in this order.

    Of equal scores the first seed and episode counts as the better one; of two in the middle, the
    better one is the median.
    """
    columns = records.where(metric=metric).columns
    names = ("target", "algorithm", "shots", "seed", "episode", "value")
    by_cell: dict[CellKey, list[PickedEpisode]] = {}
    for target, algorithm, shots, seed, episode, value in zip(
        *(columns[name].tolist() for name in names), strict=True
    ):
        if isfinite(value):
            picked = PickedEpisode(seed, episode, value)
            by_cell.setdefault((target, algorithm, shots), []).append(picked)
    sign = 1 if lower_is_better(metric) else -1
    picks: dict[CellKey, tuple[PickedEpisode, ...]] = {}
    for key, episodes in by_cell.items():
        ordered = sorted(episodes, key=lambda one: (sign * one.value, one.seed, one.episode))
        picks[key] = (ordered[0], ordered[(len(ordered) - 1) // 2], ordered[-1])
    return picks


def picks_table(
    summary: Summary,
    target: str,
    picks: Picks,
    answers: Sequence[EpisodeAnswers],
    shares: Mapping[AnswersKey, int],
) -> Markup:
    """A row for each algorithm and shots; under it the answers, where they are known.

    Episodes that have a share of the page's room for pictures show their images, and stand first.
    """
    columns = [TableColumn("algorithm"), TableColumn("shots", is_number=True)]
    columns += [TableColumn(f"{name} episode", is_number=True) for name in PICKS]
    rows: list[list[TableCell | str]] = []
    seeds = {pick.seed for own in picks.values() for pick in own}
    for shots in summary.shots:
        for name in summary.algorithms:
            if own := picks.get((target, name, shots)):
                cells = [_pick_cell(summary, pick, len(seeds) > 1) for pick in own]
                rows.append([name, TableCell(shots_title(shots), shots), *cells])
    if not rows:
        return Markup()
    table = sortable_table(f"Episodes of {target} by {summary.notation.title}", columns, rows)
    ordered = sorted(answers, key=lambda each: each.key not in shares)
    folds = (_answers(summary, picks, each, shares.get(each.key, 0)) for each in ordered)
    return join([table, *folds])


def _pick_cell(summary: Summary, pick: PickedEpisode, has_seeds: bool) -> TableCell:
    return TableCell(f"{summary.notation.text(pick.value)} {_place(pick, has_seeds)}", pick.value)


def _place(pick: PickedEpisode, has_seeds: bool) -> str:
    return f"(episode {pick.episode}{f', seed {pick.seed}' if has_seeds else ''})"


def _answers(summary: Summary, picks: Picks, one: EpisodeAnswers, share: int) -> Markup:
    """A fold with the images of the query, the wrong answers first: as pictures, or by number."""
    own = picks.get((one.target, one.algorithm, one.shots), ())
    names = [
        name
        for name, pick in zip(PICKS, own, strict=False)
        if (pick.seed, pick.episode) == (one.seed, one.episode)
    ]
    scores = [pick.value for pick in own if (pick.seed, pick.episode) == (one.seed, one.episode)]
    wrong = sum(answer.is_wrong for answer in one.answers)
    score = summary.notation.text(scores[0]) if scores else ""
    title = f"{one.algorithm}, {shots_title(one.shots)}, {' and '.join(names)} episode"
    about = f" {one.episode}: {score}, {wrong} of {len(one.answers)} query answers wrong"
    about += ", with pictures" if share else ""
    shown = Markup()
    others: Sequence[QueryAnswer] = sorted(one.answers, key=lambda answer: not answer.is_wrong)
    if share:
        shown, others = episode_pictures(one, share)
        if others and len(others) < len(one.answers):
            title_of_others = f"And {len(others)} more, without pictures to keep the page small"
            shown = join([shown, element("p", title_of_others, class_="shelf")])
    heading = element("summary", title, element("span", about, class_="soft"))
    digits = answer_digits(one)
    items = [_answer(answer, digits) for answer in others]
    listing = element("ul", *items, class_="answers") if items else Markup()
    return element("details", heading, shown, listing, class_="screen")


def _answer(answer: QueryAnswer, digits: int) -> Markup:
    verdict = f"{sign_of(answer)} {answer.predicted}"
    share = share_text(answer, digits, "probability ")
    if answer.is_right:
        return element("li", f"image {answer.image}: {verdict}{share}")
    name = element("span", verdict, class_="verdict") if answer.is_wrong else verdict
    kind = "wrong" if answer.is_wrong else None
    truth = f", truth: {answer.truth}{share}"
    return element("li", f"image {answer.image}: ", name, truth, class_=kind)
