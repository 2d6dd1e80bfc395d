"""Episodes as pictures: the support, the answers of each algorithm, and the worst of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from torchcross._kit.pixels import data_uri
from torchcross.report.html import series_key
from torchcross.report.inputs import Example, Picture
from torchcross.report.markup import Markup, element
from torchcross.report.numbers import notation_of, share_digits, shots_title

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
        _support(first.support),
        *(_answers(example, series.get(example.algorithm, len(series))) for example in examples),
        open=is_open,
    )


def _support(pictures: Sequence[Picture]) -> Markup:
    """At most a screen of the support; every class has its first pictures there."""
    by_class: dict[str, list[Picture]] = {}
    for picture in pictures:
        by_class.setdefault(picture.truth, []).append(picture)
    each = max(1, _MOST_SUPPORT // max(len(by_class), 1))
    shown = [picture for own in by_class.values() for picture in own[:each]]
    items = [_item(picture) for picture in shown]
    if more := len(pictures) - len(shown):
        items.append(element("li", f"and {more} more", class_="soft"))
    title = f"Support, which all algorithms learned from: {len(by_class)} kinds of labels"
    heading = element("p", title, class_="shelf")
    return element("div", heading, element("ul", *items, class_="pictures"))


def _answers(example: Example, series: int) -> Markup:
    """The answers of one algorithm to the query, its worst mistakes before the rest."""
    notation, mistakes = notation_of(example.metric), example.worst
    score = (
        f"{notation.title} {notation.text(example.score)}, "
        f"{len(mistakes)} of {len(example.query)} query answers wrong."
    )
    confidences = (picture.confidence for picture in example.query)
    digits = share_digits(each for each in confidences if each is not None)
    parts = [element("h3", series_key(series), example.algorithm), element("p", score)]
    if mistakes:
        title = "The worst mistakes: least probability of the truth first"
        worst = _picture_list(mistakes, _MOST_WORST, digits)
        parts.append(element("div", element("p", title, class_="shelf"), worst))
    heading = element("summary", f"The whole query, {len(example.query)} samples")
    query = _picture_list(example.query, _MOST_QUERY, digits)
    parts.append(element("details", heading, query, class_="screen"))
    return element("article", *parts, class_="example")


def _picture_list(pictures: Sequence[Picture], most: int, digits: int) -> Markup:
    items = [_item(picture, digits) for picture in pictures[:most]]
    if len(pictures) > most:
        items.append(element("li", f"and {len(pictures) - most} more", class_="soft"))
    return element("ul", *items, class_="pictures")


def _item(picture: Picture, digits: int = 0) -> Markup:
    size = "tiny" if max(picture.pixels.shape[:2]) < _TINY else None
    address = data_uri(picture.pixels, _SIDE)
    if picture.predicted is None:
        image = element("img", src=address, alt=f"support image, {picture.truth}", class_=size)
        return element("li", image, picture.truth)
    description = f"query image, truth {picture.truth}, predicted {picture.predicted}"
    score = Markup()
    if picture.confidence is not None and isfinite(picture.confidence):
        share = f"{100 * picture.confidence:.{digits}f} %"
        description += f", probability {share}"
        score = element("small", f"probability {share}", class_="score soft")
    image = element("img", src=address, alt=description, class_=size)
    if not picture.is_mistake:
        verdict = element("span", f"✓ {picture.predicted}", class_="verdict")
        return element("li", image, verdict, score)
    verdict = element("span", f"✗ {picture.predicted}", class_="verdict")
    truth = element("span", f"truth: {picture.truth}", class_="verdict truth")
    return element("li", image, verdict, truth, score, class_="wrong")
