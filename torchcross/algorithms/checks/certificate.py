"""The result of `certify`: the comparisons of one gradient, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import final

from torchcross.functional import CertificateRow


@final
@dataclass(frozen=True)
class Certificate:
    """The comparisons of an algorithm's gradient, as a table: `print(certificate)`.

    claim              which gradient this is, and of what order
    rows               the comparisons; `row.holds` is None where nothing is claimed, or where a
                       kink hides the answer
    differences_count  whether the gradient claims to equal finite differences

    >>> from torchcross.algorithms import MAML, certify
    >>> from torchcross.backbones import conv4
    >>> certificate = certify(MAML(conv4(4, in_channels=1), steps=1))
    >>> certificate.holds
    True
    """

    algorithm: str
    engine: str
    order: int | None
    claim: str
    rows: tuple[CertificateRow, ...]
    differences_count: bool = False

    @property
    def holds(self) -> bool:
        """Whether everything that is claimed is so.

        No row is wrong. If the gradient claims to equal differences, at least one row of each kind
        could tell.
        """
        return not any(row.holds is False for row in self.rows) and not self.is_undecided

    @property
    def is_undecided(self) -> bool:
        """Whether kinks hide all differences of a kind (parameters, rates)."""
        return bool(self._hidden_kinds())

    def _hidden_kinds(self) -> list[str]:
        could_tell: dict[str, bool] = {}
        for row in self.rows if self.differences_count else ():
            if "finite differences" in row.name:
                # `finite differences, rates 2` moves the rates; all others move the parameters.
                kind = "rates" if "finite differences, rates" in row.name else "params"
                could_tell[kind] = could_tell.get(kind, False) or row.holds is not None
        return [kind for kind, has_answer in could_tell.items() if not has_answer]

    def __repr__(self) -> str:
        return f"Certificate({self.algorithm!r}, {self.claim}: {self._summary()})"

    def _repr_html_(self) -> str:
        """The table, for notebooks."""
        return f"<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        lines = [f"{self.algorithm}, engine {self.engine}: {self.claim}"]
        if self.rows:
            width = max(len(row.name) for row in self.rows)
            lines.append(f"  {'check':<{width}}  order  rel. error  tolerance  verdict")
            lines += [
                f"  {row.name:<{width}}  {row.order:>5}  {row.error:>10.1e}  {row.tolerance:>9.0e} "
                f" {_verdict(row)}"
                for row in self.rows
            ]
        return "\n".join([*lines, f"verdict: {self._summary()}"])

    def _summary(self) -> str:
        if self.is_undecided:
            kinds = " and ".join(self._hidden_kinds())
            return (
                f"undecided: there are kinks wherever differences were taken of {kinds}; certify a"
                " smaller or smoother backbone"
            )
        if not self.holds:
            wrong = sum(row.holds is False for row in self.rows)
            return f"does not hold, {wrong} of {len(self.rows)} checks failed"
        return "holds" if self.rows else "nothing is claimed, so there is nothing to check"


def _verdict(row: CertificateRow) -> str:
    if row.holds is None:
        return f"cannot tell: {row.note}" if row.note else "not claimed"
    if row.holds:
        return "holds"
    return f"WRONG: {row.note}" if row.note else "WRONG"
