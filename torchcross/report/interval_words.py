"""What the intervals of a table are about, in words: other images, or other episodes of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isqrt
from statistics import median

from torchcross._kit.listed_names import first_names, listed_names
from torchcross.report.cells import CellKey
from torchcross.report.numbers import shots_title
from torchcross.report.summary import Summary
from torchcross.statistics.image_level import IMAGES
from torchcross.statistics.intervals import AT_END
from torchcross.statistics.seeds import SEEDED
from torchcross.statistics.within_target import ONE_NUMBER

_METHODS = {
    "delong": "DeLong's over images",
    "t": "Student's t over episodes",
    "normal": "normal distribution, over episodes",
    "bca": "BCa bootstrap over episodes",
    "image effects": "a model with an effect of each image, since episodes share images",
    "subject effects": "a model with an effect of each subject, since episodes share subjects",
    SEEDED: (
        "hierarchical bootstrap: training seeds, then episodes; the squared width is the sum of the"
        " squared widths of the t intervals over seeds and over episodes"
    ),
}


def method_words(summary: Summary) -> str:
    """The methods of the intervals; of several, each with what its intervals are of."""
    keys: dict[str, list[CellKey]] = {}
    for key, cell in summary.cells.items():
        if AT_END not in cell.interval.note:
            keys.setdefault(cell.interval.method, []).append(key)
    if not keys:
        return "no cell has one"
    if len(keys) == 1:
        return "".join(_METHODS.get(name, name) for name in keys)
    words = _own_words(list(keys.values()))
    return "; ".join(
        f"{own}{_METHODS.get(name, name)}" for name, own in zip(keys, words, strict=True)
    )


def _own_words(groups: Sequence[Sequence[CellKey]]) -> list[str]:
    """What tells groups of cells apart: their targets, else shots, else algorithms, else both."""
    kinds: tuple[tuple[str, Callable[[CellKey], str]], ...] = (
        ("of", lambda key: key[0]),
        ("at", lambda key: shots_title(key[2])),
        ("of", lambda key: key[1]),
    )
    for word, name_of in kinds:
        parts = [list(dict.fromkeys(map(name_of, group))) for group in groups]
        if len({name for part in parts for name in part}) == sum(map(len, parts)):
            return [f"{word} {first_names(part)}: " for part in parts]
    cells = [[f"{key[0]} at {shots_title(key[2])}" for key in group] for group in groups]
    return [f"of {first_names(list(dict.fromkeys(each)))}: " for each in cells]


def pairs_words(summary: Summary) -> str:
    """The tests that are corrected together within a target; empty where there is none."""
    if not summary.pair_counts:
        return ""
    *fewer, most = summary.pair_counts
    # n algorithms are n (n - 1) / 2 pairs.
    scored = ((count, (1 + isqrt(1 + 8 * count)) // 2) for count in fewer)
    with_scores = [f"{count} where {names} of them have scores" for count, names in scored]
    rest = f" ({listed_names(with_scores)})" if fewer else ""
    pairs = "the one pair" if most == 1 else f"the {most} pairs"
    twice = ", twice where any failed: with failures counted, and over the common episodes"
    return (
        f" over {pairs} of algorithms of its row and shots{rest}"
        f"{twice if summary.failures_count_as else ''}"
    )


def sentences(summary: Summary) -> Iterator[str]:
    """What intervals and marks are about, and how much narrower the other intervals are."""
    spread = {
        key: cell
        for key, cell in summary.cells.items()
        if cell.interval.half > 0 and ONE_NUMBER not in cell.interval.note
    }
    wide = [cell for cell in spread.values() if cell.is_over_images]
    if wide:
        ratio = median(cell.episode_interval.half / cell.interval.half for cell in wide)
        yield (
            "Intervals and tests are over images: an interval says where the mean over all images"
            " like these may lie. Over episodes of these images alone it would have"
            f" {100 * ratio:.0f} % of its width (median), and say nothing of other images."
        )
    narrow = [key for key, cell in spread.items() if cell.interval.over != IMAGES]
    if not narrow:
        return
    about = "over episodes of these images, and say nothing of other images like these"
    if len(narrow) == len(spread):
        yield f"Intervals and tests are {about}."
        return
    places = list(dict.fromkeys(f"{target} at {shots_title(shots)}" for target, _, shots in narrow))
    yield f"Of {first_names(places)} they are {about}."


def is_over_images(summary: Summary) -> bool:
    """Whether some intervals are over images, and other ones than those over episodes."""
    return any(cell.is_over_images for cell in summary.cells.values())


def test_words(summary: Summary, paired: str) -> str:
    """The test behind the marks; `paired` is what pairs have in common."""
    if is_over_images(summary):
        return f"a test over images of the differences on {paired}"
    return f"a paired t test over {paired}"
