"""How metrics, baselines and pairs are called on a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from torchcross.report.numbers import notation_of
from torchcross.transfer.page.contents import StudyContents
from torchcross.transfer.results import SELF


def metric_words(contents: StudyContents) -> str:
    """The name of the metric; a table may say no more than "value"."""
    return notation_of(contents.metric).title.removesuffix(" (%)")


def baseline_words(contents: StudyContents) -> str:
    return "the self-pair" if contents.baseline == SELF else contents.baseline


def short_names(names: Iterable[str]) -> dict[str, str]:
    """For plots: the part before the first slash of "dataset/task", where no two have the same."""
    shorts = {name: name.partition("/")[0] or name for name in names}
    counts = Counter(shorts.values())
    return {name: short if counts[short] == 1 else name for name, short in shorts.items()}


def height_words(contents: StudyContents) -> str:
    """What the vertical axis of a plot shows."""
    if not contents.baseline:
        return metric_words(contents)
    return f"gain over {baseline_words(contents)}, %"
