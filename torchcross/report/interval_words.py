"""What the intervals of a table are about, in words: other images, or other episodes of these."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from torchcross.report.numbers import shots_title
from torchcross.report.summary import Summary
from torchcross.statistics.image_level import IMAGES
from torchcross.statistics.within_target import ONE_NUMBER

_METHODS = {
    "image effects": "a model with an effect of each image, since episodes share images",
    "subject effects": "a model with an effect of each subject, since episodes share subjects",
}
_MOST_NAMED = 6


def method_words(name: str) -> str | None:
    return _METHODS.get(name)


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
    more = f" and {len(places) - _MOST_NAMED} more" if len(places) > _MOST_NAMED else ""
    yield f"Of {', '.join(places[:_MOST_NAMED])}{more} they are {about}."


def is_over_images(summary: Summary) -> bool:
    """Whether some intervals are over images, and other ones than those over episodes."""
    return any(cell.is_over_images for cell in summary.cells.values())


def test_words(summary: Summary, paired: str) -> str:
    """The test behind the marks; `paired` is what pairs have in common."""
    if is_over_images(summary):
        return f"a test over images of the differences on {paired}"
    return f"a paired t test over {paired}"
