"""What tests of damaged runs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import torchcross.experiment.run.provenance as provenance
import torchcross.experiment.run.targets as targets


@pytest.fixture(scope="module")
def functions_of_runs() -> Iterator[None]:
    """Put back, at the end, the functions that `FlippedRun.prepare` replaces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(targets, "open_collection", targets.open_collection)
        patch.setattr(provenance, "git_state", provenance.git_state)
        yield
