"""TensorBoard: event files in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from torchcross._kit.extras import import_extra


@final
class TensorBoardTracker:
    """Scalars in event files; the summary as a text.

    Where a training goes on, TensorBoard hides the steps that were lost to a kill and shows those
    that were done in their place.
    """

    def __init__(self, folder: str | Path) -> None:
        self._library: Any = import_extra(
            "torch.utils.tensorboard", "tensorboard", "TensorBoardTracker"
        )
        self._folder = Path(folder)
        self._writer: Any = None

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        writer = self._open_from(step)
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        step = int(summary.get("steps", 0))
        lines = [f"| {name} | {value} |" for name, value in summary.items()]
        table = "\n".join(["| | |", "| --- | --- |", *lines])
        # Nothing of an earlier process is hidden where this one has done no step.
        self._open_from(step + 1).add_text("summary", table, step)
        self._writer.close()
        self._writer = None

    def _open_from(self, step: int) -> Any:
        """The writer. What earlier ones wrote of this step and later ones is void."""
        if self._writer is None:
            self._writer = self._library.SummaryWriter(str(self._folder), purge_step=step)
        return self._writer
