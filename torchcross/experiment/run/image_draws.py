"""From the plans of a run to the draws that statistics take."""

from __future__ import annotations

import numpy as np

from torchcross._kit.arrays import Indices
from torchcross.data.plan_files.drawn_images import DrawnImages
from torchcross.statistics import Draws


def draws_of(drawn: DrawnImages) -> Draws:
    """Which images each episode drew. A stratum is all images of the same labels."""
    images, first = np.unique(drawn.images, return_index=True)
    subjects: dict[str, Indices] = {}
    if drawn.subjects is not None:
        subjects["subjects"] = drawn.subjects[first]
        subjects["stratum_subjects"] = drawn.stratum_subjects
    return Draws(
        episodes=drawn.episodes[drawn.rows],
        images=drawn.images,
        is_query=~drawn.in_support,
        drawn=images,
        strata=drawn.strata[first],
        stratum_images=drawn.stratum_images,
        **subjects,
    )
