"""Episodes as pictures: what was learned from, what was answered, and the worst of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from torchcross.report._html import key
from torchcross.report._markup import Markup, element
from torchcross.report._numbers import score_text
from torchcross.report._pixels import data_uri
from torchcross.report._values import Example, Picture

__all__ = ["example_figure"]

_SIDE = 112
_TINY = 64
_MOST_SUPPORT, _MOST_QUERY, _MOST_WORST = 40, 60, 8


def example_figure(example: Example, series: int) -> Markup:
    """One episode: its worst mistakes, its support, its query."""
    shots = "" if example.shots is None else f", {example.shots} shots"
    title = [key(series), example.algorithm, element("span", f" on {example.target}{shots}", class_="soft")]
    mistakes = len(example.worst)
    said = (
        f"Episode {example.episode}: {example.metric} {score_text(example.score, example.metric)}, "
        f"{mistakes} of {len(example.query)} query answers wrong."
    )
    worst = [
        _shelf("The worst mistakes: least belief in the truth first", example.worst, _MOST_WORST),
    ]
    return element(
        "article",
        element("h3", *title),
        element("p", said),
        *(worst if mistakes else []),
        _shelf("Support, which it learned from", example.support, _MOST_SUPPORT),
        _folded(f"The whole query, {len(example.query)} samples", _list(example.query, _MOST_QUERY)),
        class_="example",
    )


def _shelf(title: str, pictures: Sequence[Picture], most: int) -> Markup:
    return element("div", element("h4", title), _list(pictures, most))


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
    lines = [element("span", f"✗ {verdict}", class_="verdict"), element("br"), f"truth: {picture.truth}"]
    return element("li", image, *lines, class_="wrong")
