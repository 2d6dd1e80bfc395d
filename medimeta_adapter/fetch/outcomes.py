"""What became of datasets that were requested: made, present already, or failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medimeta_adapter.convert.options import Converted


@dataclass(frozen=True)
class FetchOutcome:
    """The result for one dataset.

    `reason` says why it failed, or how an existing dataset differs from the request. `converted`
    describes what was written, where images were converted.
    """

    id: str
    state: Literal["made", "present", "failed"]
    folder: Path
    license: str
    reason: str = ""
    converted: Converted | None = None

    def __str__(self) -> str:
        if self.state == "failed":
            return f"{self.id}: {self.reason}"
        if self.state == "present":
            text = f"{self.folder}: already there{self.reason}"
        else:
            text = f"{self.folder}{self.reason}" if self.converted is None else str(self.converted)
        return f"{self.id}: {text} (licence: {self.license})"


@dataclass(frozen=True)
class FetchReport:
    """The results for all requested datasets."""

    outcomes: tuple[FetchOutcome, ...]

    @property
    def failures(self) -> tuple[FetchOutcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.state == "failed")

    def __str__(self) -> str:
        return "\n".join(map(str, self.outcomes))
