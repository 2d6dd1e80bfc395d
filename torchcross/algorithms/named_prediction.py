"""What a predictor says of images: probabilities and decisions, with the names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import final

from torch import Tensor

from torchcross.targets import Prediction

_SHOWN, _ROWS_SHOWN = 6, 20
"""Answers in the text of a prediction, and in its table."""


@final
@dataclass(frozen=True, eq=False)
class NamedPrediction:
    """`probabilities` (N, C) and `decisions` (N,) or (N, L) as in `Prediction`, with class names.

    `scores` are the log-odds that samples are ranked by.
    """

    probabilities: Tensor
    decisions: Tensor
    classes: tuple[str, ...]
    scores: Tensor | None = None

    @property
    def names(self) -> list[str] | list[list[str]]:
        """The class decided for each sample, or the labels that each sample has."""
        if self.decisions.ndim == 1:
            return [self.classes[code] for code in self.decisions.tolist()]
        return [
            [name for name, there in zip(self.classes, row, strict=True) if there]
            for row in self.decisions.tolist()
        ]

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self.names[:_SHOWN]))
        more = ", ..." if len(self.names) > _SHOWN else ""
        return f"NamedPrediction({len(self.names)} samples: {shown}{more})"

    def _repr_html_(self) -> str:
        """The answers and their probabilities, for notebooks."""
        heads = "".join(f"<th>{escape(name)}</th>" for name in self.classes)
        rows = "".join(
            f"<tr><td>{escape(_answer_text(name))}</td>"
            f"{''.join(f'<td>{value:.2f}</td>' for value in values)}</tr>"
            for name, values in zip(
                self.names[:_ROWS_SHOWN], self.probabilities[:_ROWS_SHOWN].tolist(), strict=True
            )
        )
        more = len(self.names) - _ROWS_SHOWN
        rest = f"<p>and {more} more</p>" if more > 0 else ""
        return (
            f"<table><thead><tr><th>answer</th>{heads}</tr></thead><tbody>{rows}</tbody></table>"
            f"{rest}"
        )

    @property
    def plain(self) -> Prediction:
        """For `target.evaluate`."""
        return Prediction(self.probabilities, self.decisions, self.scores)


def _answer_text(answer: str | Sequence[str]) -> str:
    return answer if isinstance(answer, str) else ", ".join(answer) or "none of them"
