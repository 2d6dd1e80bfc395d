"""What a source has, as far as counting goes: the samples of its strata, and their subjects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torchcross._kit.arrays import Indices
from torchcross.data.sampling.subject_division import can_divide


@dataclass(frozen=True)
class Stratum:
    """Samples of which support and query both need some.

    `subjects` are the samples that each subject owns; None where subjects do not matter.
    """

    unit: str
    samples: int
    subjects: Indices | None

    def serves(self, support: int, query: int) -> bool:
        """Whether there is a support and a query of these sizes."""
        if self.samples < support + query:
            return False
        if self.subjects is None or query == 0:
            return True
        return can_divide(self.subjects, support, query)


@dataclass(frozen=True)
class Supply:
    """The samples of a source.

    classes     the strata of every class; for a yes/no label both answers
    everything  all labelled samples
    together    how many samples some classes have together; for labels: samples with a known answer
                to one of them
    exclusive   whether every class needs support samples of its own, or one sample may serve all
    """

    classes: Sequence[tuple[Stratum, ...]]
    everything: Stratum
    together: Callable[[Sequence[int]], int]
    exclusive: bool
