"""Which pairs a study does not score because the source is the target, in words."""

from __future__ import annotations

from torchcross._kit.listed_names import first_names
from torchcross.transfer.studies.settings import StudyDesign


def left_out_text(design: StudyDesign) -> str:
    """The pairs of a source with itself that have no cell; empty where there are none."""
    pairs = [_words_of(*pair) for pair in design.pairs_left_out]
    if not pairs:
        return ""
    verb, such = ("is", "the pair") if len(pairs) == 1 else ("are", "such pairs")
    text = (
        f"{first_names(pairs)} {verb} left out: a source that was learned from the target has seen"
        f" its test images. self_pairs = true keeps {such}, marked."
    )
    unused = design.unused_sources
    if unused:
        verb = "is" if len(unused) == 1 else "are"
        text += f" {first_names(unused)} {verb} not trained, for there is no other target."
    return text


def _words_of(source: str, target: str) -> str:
    return f"{source} on itself" if source == target else f"{source} on {target}"
