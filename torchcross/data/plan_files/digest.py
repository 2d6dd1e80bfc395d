"""One text for a row of plans: equal for the same samples of the same labels in the same order."""

from __future__ import annotations

import hashlib
from typing import final

from torchcross.plan import EpisodePlan


@final
class PlanDigest:
    """A SHA-256 over plans of one source. `fingerprint` is that of the source."""

    def __init__(self, fingerprint: str) -> None:
        self._digest = hashlib.sha256(fingerprint.encode())

    def add(self, plan: EpisodePlan) -> None:
        self._digest.update(repr((plan.index, plan.source, plan.classes)).encode())
        for part in (plan.support, plan.support_labels, plan.query, plan.query_labels):
            self._digest.update(repr(part.shape).encode() + part.astype("<i8").tobytes())

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
