"""Files of features over the units of a job."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.embedding.sources import shapes
from tests.jobs.together import computes_one_unit_at_a_time
from torchcross import backbones
from torchcross.embedding import Embedding, EmbeddingJob


class TwoNetworks:
    """The embeddings of one source under two networks."""

    def names(self) -> Sequence[str]:
        return ("0", "1")

    def open(self, name: str) -> Embedding:
        network = backbones.conv4(in_channels=1, channels=4, seed=int(name))
        return Embedding(shapes(), network)

    def elsewhere(self) -> TwoNetworks:
        return self


def test_threads_of_one_process_make_one_unit_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = EmbeddingJob(TwoNetworks(), str(tmp_path), str(torch.device("cpu")))
    assert computes_one_unit_at_a_time(
        job,
        [unit.key for unit in job.units()],
        tmp_path,
        lambda wait: monkeypatch.setattr(Embedding, "write", wait),
    )


OPENED: list[str] = []


class Watched(TwoNetworks):
    """Says which embeddings are opened."""

    def open(self, name: str) -> Embedding:
        OPENED.append(name)
        return super().open(name)

    def elsewhere(self) -> Watched:
        return self


def test_a_worker_opens_what_it_makes_and_nothing_else(tmp_path: Path) -> None:
    job = EmbeddingJob(Watched(), str(tmp_path))
    keys = [unit.key for unit in job.units()]
    received = pickle.loads(pickle.dumps(job))
    OPENED.clear()
    assert [unit.key for unit in received.units()] == keys
    assert received.file_of(keys[1]) == job.file_of(keys[1])
    received.run(keys[0], tmp_path)
    assert OPENED == ["0"]
    assert (tmp_path / job.file_of(keys[0])).is_file()
