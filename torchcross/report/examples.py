"""Episodes as pictures: what was learned from, what was answered, and the worst of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from torchcross.report.html import series_key
from torchcross.report.inputs import Example, Picture
from torchcross.report.markup import Markup, element
from torchcross.report.numbers import notation_of
from torchcross.report.pixels import data_uri

__all__ = ["examples_section"]

_SIDE = 112
_TINY = 64
_MOST_SUPPORT, _MOST_QUERY, _MOST_WORST = 40, 60, 8


def examples_section(examples: Sequence[Example], series: Mapping[str, int]) -> list[Markup]:
    """A fold for each episode: what it was learned from once, then what each algorithm made of
    it.
    """
    episodes: list[list[Example]] = []
    for example in examples:
        for others in episodes:
            if _is_same_episode(others[0], example):
                others.append(example)
                break
        else:
            episodes.append([example])
    return [_episode(some, series, place == 0) for place, some in enumerate(episodes)]


def _is_same_episode(one: Example, other: Example) -> bool:
    same = (one.target, one.shots, one.episode) == (other.target, other.shots, other.episode)
    return same and [_key(picture) for picture in one.support] == [
        _key(picture) for picture in other.support
    ]


def _key(picture: Picture) -> tuple[str, tuple[int, ...], bytes]:
    return picture.truth, picture.pixels.shape, picture.pixels.tobytes()


def _episode(examples: Sequence[Example], series: Mapping[str, int], is_open: bool) -> Markup:
    first = examples[0]
    shots = (
        "" if first.shots is None else f", {first.shots} {'shot' if first.shots == 1 else 'shots'}"
    )
    who = ", ".join(example.algorithm for example in examples)
    heading = element(
        "summary",
        f"{first.target}{shots}, episode {first.episode}",
        element("span", f" {who}", class_="soft"),
    )
    support = _shelf("Support, which all of them learned from", first.support, _MOST_SUPPORT)
    answers = [
        _answers(example, series.get(example.algorithm, len(series))) for example in examples
    ]
    return element("details", heading, support, *answers, open=is_open)


def _answers(example: Example, series: int) -> Markup:
    """What one algorithm made of the query, its worst mistakes before the rest."""
    mistakes, notation = len(example.worst), notation_of(example.metric)
    said = (
        f"{notation.title} {notation.text(example.score)}, "
        f"{mistakes} of {len(example.query)} query answers wrong."
    )
    worst = _shelf(
        "The worst mistakes: least belief in the truth first", example.worst, _MOST_WORST
    )
    return element(
        "article",
        element("h3", series_key(series), example.algorithm),
        element("p", said),
        *([worst] if mistakes else []),
        _folded(
            f"The whole query, {len(example.query)} samples", _list(example.query, _MOST_QUERY)
        ),
        class_="example",
    )


def _shelf(title: str, pictures: Sequence[Picture], most: int) -> Markup:
    return element("div", element("p", title, class_="shelf"), _list(pictures, most))


def _folded(title: str, inside: Markup) -> Markup:
    return element("details", element("summary", title), inside)


def _list(pictures: Sequence[Picture], most: int) -> Markup:
    items = [_item(picture) for picture in pictures[:most]]
    if len(pictures) > most:
        items.append(element("li", f"and {len(pictures) - most} more", class_="soft"))
    return element("ul", *items, class_="pictures")


def _item(picture: Picture) -> Markup:
    tiny = "tiny" if max(picture.pixels.shape[:2]) < _TINY else None
    address = data_uri(picture.pixels, _SIDE)
    if picture.predicted is None:
        image = element("img", src=address, alt=f"support image, {picture.truth}", class_=tiny)
        return element("li", image, picture.truth)
    sure = picture.confidence
    percent = "" if sure is None or not isfinite(sure) else f" {100 * sure:.0f} %"
    verdict = f"{picture.predicted}{percent}"
    spoken = f"query image, truth {picture.truth}, predicted {verdict}"
    image = element("img", src=address, alt=spoken, class_=tiny)
    if not picture.is_mistake:
        return element("li", image, element("span", f"✓ {verdict}", class_="verdict"))
    lines = [
        element("span", f"✗ {verdict}", class_="verdict"),
        element("br"),
        f"truth: {picture.truth}",
    ]
    return element("li", image, *lines, class_="wrong")
