"""An episode as thumbnails: the support by class, then the query with its answers.

A page stays small: the thumbnails of one row, over all its targets, take at most `ROW_BUDGET`
characters of it, in equal shares for its episodes. What has no room is said in words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from math import isfinite
from typing import Final, Literal, Self, final

from torchcross._kit.pixels import Pixels, thumbnail_uri
from torchcross.report.episode_answers import (
    AnswersKey,
    EpisodeAnswers,
    EpisodePictures,
    QueryAnswer,
)
from torchcross.report.html import note, prose
from torchcross.report.inputs import Picture
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import share_digits
from torchcross.report.standings import standings
from torchcross.report.summary import Summary

PicturedRows = Literal["leader", "all", "none"]
"""Of which rows a page shows the images of episodes: of the one that leads, of all, of none."""

ROW_BUDGET: Final = 2_000_000
SIDE: Final = 56
"""The most pixels of a thumbnail's longer side."""
_SUPPORT_SHARE: Final = 0.4
_MOST_SUPPORT, _MOST_QUERY = 60, 80
_WORDS: Final = 250
"""About the characters of the markup around a thumbnail."""


def picture_shares(
    summary: Summary, answers: Sequence[EpisodeAnswers], rows: PicturedRows
) -> dict[AnswersKey, int]:
    """How many characters the thumbnails of each episode may take; those of other rows have none.

    On a target where the leader has no answers, the next row stands in its place.
    """
    known = [each for each in answers if each.read_pictures is not None]
    if rows == "none":
        return {}
    if rows == "leader":
        leaders = {target: _leader(summary, target, known) for target in _targets(known)}
        known = [each for each in known if each.algorithm == leaders[each.target]]
    of_rows: dict[str, list[AnswersKey]] = {}
    for each in known:
        of_rows.setdefault(each.algorithm if rows == "all" else "", []).append(each.key)
    return {key: ROW_BUDGET // len(keys) for keys in of_rows.values() for key in keys}


def _targets(answers: Sequence[EpisodeAnswers]) -> list[str]:
    return list(dict.fromkeys(each.target for each in answers))


def _leader(summary: Summary, target: str, answers: Sequence[EpisodeAnswers]) -> str:
    """The first by the leaderboard among the rows that have answers on a target."""
    own = [each for each in answers if each.target == target]
    across = summary.across.get(own[0].shots)
    order = [] if across is None else [each.name for each in standings(across)]
    places = {name: place for place, name in enumerate(order)}
    return min((each.algorithm for each in own), key=lambda name: places.get(name, len(places)))


def episode_pictures(one: EpisodeAnswers, share: int) -> tuple[Markup, Sequence[QueryAnswer]]:
    """The thumbnails that have room in a share, and the answers that have none."""
    pictures = EpisodePictures() if one.read_pictures is None else one.read_pictures()
    ordered = sorted(range(len(one.answers)), key=lambda place: not one.answers[place].is_wrong)
    if pictures.problem:
        text = note(prose(f"No pictures: {pictures.problem}."))
        return text, [one.answers[place] for place in ordered]
    thumbnails = {place: _Thumbnail.of(pictures.query[place]) for place in ordered[:_MOST_QUERY]}
    whole_query = sum(each.size for each in thumbnails.values())
    support_room = _Room(max(round(share * _SUPPORT_SHARE), share - whole_query))
    support = _support(pictures.support, support_room)
    room = _Room(share - support_room.used)
    digits = answer_digits(one)
    items = [
        _query_item(one.answers[place], each, digits)
        for place, each in thumbnails.items()
        if room.has_place(each)
    ]
    title = "Query: wrong answers first"
    if any(isfinite(answer.probability) for answer in one.answers):
        title += "; in percent, the probability of the answer"
    heading = element("p", title, class_="shelf")
    query = element("ul", *items, class_="pictures small")
    return join([support, heading, query]), [one.answers[each] for each in ordered[len(items) :]]


@final
@dataclass(frozen=True)
class _Thumbnail:
    """The address of a PNG; `is_tiny`: it shows single pixels."""

    address: str
    is_tiny: bool

    @classmethod
    def of(cls, pixels: Pixels) -> Self:
        return cls(thumbnail_uri(pixels, SIDE), max(pixels.shape[:2]) < SIDE)

    @property
    def size(self) -> int:
        return len(self.address) + _WORDS

    def image(self, alt: str) -> Markup:
        return element("img", src=self.address, alt=alt, class_="tiny" if self.is_tiny else None)


@final
class _Room:
    """Takes thumbnails until one has no place; then it takes none."""

    def __init__(self, most: int) -> None:
        self._most, self.used, self._is_full = most, 0, False

    def has_place(self, thumbnail: _Thumbnail) -> bool:
        self._is_full |= self.used + thumbnail.size > self._most
        if not self._is_full:
            self.used += thumbnail.size
        return not self._is_full


def _support(pictures: Sequence[Picture], room: _Room) -> Markup:
    """A group for each class; each has its first image before any has its second."""
    by_class: dict[str, list[Picture]] = {}
    for picture in pictures:
        by_class.setdefault(picture.truth, []).append(picture)
    items: dict[str, list[Markup]] = {name: [] for name in by_class}
    for name, picture in islice(_in_turn(by_class), _MOST_SUPPORT):
        thumbnail = _Thumbnail.of(picture.pixels)
        if not room.has_place(thumbnail):
            break
        items[name].append(element("li", thumbnail.image(f"support image, {name}")))
    groups = [
        element(
            "div",
            element("p", f"{name}: {_part_text(len(shown), len(by_class[name]))}"),
            element("ul", *shown, class_="pictures small") if shown else "",
        )
        for name, shown in items.items()
    ]
    title = element("p", "Support by class: what was learned from", class_="shelf")
    return join([title, element("div", *groups, class_="by-class")])


def _in_turn(by_class: Mapping[str, Sequence[Picture]]) -> Iterator[tuple[str, Picture]]:
    for turn in zip_longest(*by_class.values()):
        for name, picture in zip(by_class, turn, strict=True):
            if picture is not None:
                yield name, picture


def _part_text(shown: int, count: int) -> str:
    return str(count) if shown == count else f"{shown} of {count}"


def _query_item(answer: QueryAnswer, thumbnail: _Thumbnail, digits: int) -> Markup:
    alt = f"query image {answer.image}, truth {answer.truth}, predicted {answer.predicted}"
    image = thumbnail.image(alt)
    share = share_text(answer, digits)
    score = element("small", f"image {answer.image}{share}", class_="score soft")
    parts = [image, element("span", f"{sign_of(answer)} {answer.predicted}", class_="verdict")]
    if not answer.is_right:
        parts.append(element("span", f"truth: {answer.truth}", class_="verdict truth"))
    return element("li", *parts, score, class_="wrong" if answer.is_wrong else None)


def sign_of(answer: QueryAnswer) -> str:
    if not answer.has_truth:
        return "?"
    return "✓" if answer.is_right else "✗"


def answer_digits(one: EpisodeAnswers) -> int:
    """The decimals of the probabilities of an episode's answers."""
    return share_digits(answer.probability for answer in one.answers)


def share_text(answer: QueryAnswer, digits: int, name: str = "") -> str:
    """The probability of the answer after its `name`, where it is known."""
    value = answer.probability
    return f", {name}{100 * value:.{digits}f} %" if isfinite(value) else ""
