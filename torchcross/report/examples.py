"""Episodes as pictures: the support, the answers of each algorithm, and the worst of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from torchcross.report.html import series_key
from torchcross.report.inputs import Example, Picture
from torchcross.report.markup import Markup, element
from torchcross.report.numbers import notation_of, shots_title
from torchcross.report.pixels import data_uri

_SIDE = 112
_TINY = 64
_MOST_SUPPORT, _MOST_QUERY, _MOST_WORST = 40, 60, 8


def examples_section(examples: Sequence[Example], series: Mapping[str, int]) -> list[Markup]:
    """A fold for each episode: the support once, then the answers of each algorithm."""
    episodes: dict[object, list[Example]] = {}
    for example in examples:
        episodes.setdefault(_episode_key(example), []).append(example)
    return [_episode(group, series, place == 0) for place, group in enumerate(episodes.values())]


def _episode_key(example: Example) -> object:
    """Examples of one episode have the same number and the same support."""
    support = tuple(
        (picture.truth, picture.pixels.shape, picture.pixels.tobytes())
        for picture in example.support
    )
    return example.target, example.shots, example.episode, support


def _episode(examples: Sequence[Example], series: Mapping[str, int], is_open: bool) -> Markup:
    first = examples[0]
    parts = filter(None, (first.target, shots_title(first.shots), f"episode {first.episode}"))
    algorithms = ", ".join(example.algorithm for example in examples)
    return element(
        "details",
        element("summary", ", ".join(parts), element("span", f" {algorithms}", class_="soft")),
        _pictures("Support, which all algorithms learned from", first.support, _MOST_SUPPORT),
        *(_answers(example, series.get(example.algorithm, len(series))) for example in examples),
        open=is_open,
    )


def _answers(example: Example, series: int) -> Markup:
    """The answers of one algorithm to the query, its worst mistakes before the rest."""
    notation, mistakes = notation_of(example.metric), example.worst
    score = (
        f"{notation.title} {notation.text(example.score)}, "
        f"{len(mistakes)} of {len(example.query)} query answers wrong."
    )
    parts = [element("h3", series_key(series), example.algorithm), element("p", score)]
    if mistakes:
        title = "The worst mistakes: least probability of the truth first"
        parts.append(_pictures(title, mistakes, _MOST_WORST))
    heading = element("summary", f"The whole query, {len(example.query)} samples")
    parts.append(element("details", heading, _picture_list(example.query, _MOST_QUERY)))
    return element("article", *parts, class_="example")


def _pictures(title: str, pictures: Sequence[Picture], most: int) -> Markup:
    return element("div", element("p", title, class_="shelf"), _picture_list(pictures, most))


def _picture_list(pictures: Sequence[Picture], most: int) -> Markup:
    items = [_item(picture) for picture in pictures[:most]]
    if len(pictures) > most:
        items.append(element("li", f"and {len(pictures) - most} more", class_="soft"))
    return element("ul", *items, class_="pictures")


def _item(picture: Picture) -> Markup:
    size = "tiny" if max(picture.pixels.shape[:2]) < _TINY else None
    address = data_uri(picture.pixels, _SIDE)
    if picture.predicted is None:
        image = element("img", src=address, alt=f"support image, {picture.truth}", class_=size)
        return element("li", image, picture.truth)
    answer = picture.predicted
    if picture.confidence is not None and isfinite(picture.confidence):
        answer += f" {100 * picture.confidence:.0f} %"
    description = f"query image, truth {picture.truth}, predicted {answer}"
    image = element("img", src=address, alt=description, class_=size)
    if not picture.is_mistake:
        return element("li", image, element("span", f"✓ {answer}", class_="verdict"))
    verdict = element("span", f"✗ {answer}", class_="verdict")
    return element("li", image, verdict, element("br"), f"truth: {picture.truth}", class_="wrong")
