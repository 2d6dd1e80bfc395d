"""What `torchcross features` makes, in memory; the command is in tests/cli."""

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.embedding import EmbeddingJob, digests
from torchcross.experiment.run.feature_job import TargetEmbeddings


@pytest.fixture
def digested(monkeypatch):
    """One for each time that the values of a network are read."""
    times, plain = [], digests.weights_digest

    def weights_digest(backbone):
        times.append(1)
        return plain(backbone)

    monkeypatch.setattr(digests, "weights_digest", weights_digest)
    return times


def test_a_network_is_digested_once_for_all_targets(collection, tmp_path, digested):
    experiments = tuple(
        toy_experiment(algorithms=["ncm"], **{"model.backbone": {"channels": width}})
        for width in (4, 8)
    )
    job = EmbeddingJob(TargetEmbeddings(experiments), str(tmp_path))
    assert len(job.units()) == 4
    assert len(digested) == 2
