"""Several passes over the rows of a dataset as one count."""

from __future__ import annotations

from collections.abc import Callable
from typing import final


@final
class PassProgress:
    """Tells how many rows are done, where a row is done when all passes are done with it.

    `progress` is called with that number and the number of all rows. It is told that all are done
    by `finish` alone, when the dataset is complete.
    """

    def __init__(
        self, progress: Callable[[int, int], object] | None, rows: int, passes: int
    ) -> None:
        self.rows = rows
        self._progress = progress
        self._passes = passes
        self._finished_passes = 0

    def __call__(self, done: int, of: int) -> None:
        """Tell that the current pass is done with so many rows."""
        share = (self._finished_passes + done / of) / self._passes
        self._tell(min(int(share * self.rows), self.rows - 1))

    def finish_pass(self) -> None:
        self._finished_passes += 1

    def finish(self) -> None:
        self._tell(self.rows)

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(done, self.rows)
