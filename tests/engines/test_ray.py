"""A real Ray cluster of three nodes on loopback, one of which dies."""

import pytest
import ray
from ray.cluster_utils import Cluster

from tests.jobs.sums import Sums, expected, results
from torchcross.errors import InputError
from torchcross.jobs import run_job
from torchcross.jobs.engines.ray import RayEngine

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster():
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


def test_a_node_that_dies_changes_no_result(cluster, tmp_path):
    ray_cluster, nodes = cluster
    heard = []

    def notice(key, outcome):
        heard.append(key)
        if len(heard) == 2:
            ray_cluster.remove_node(nodes[0], allow_graceful=False)

    job = Sums(str(tmp_path), numbers=9, delay=0.5)
    result = run_job(job, tmp_path, RayEngine(), lease=6.0, notice=notice)
    assert result.is_complete, result
    assert results(tmp_path) == expected(9)


def test_a_cluster_that_does_not_answer_is_named():
    with pytest.raises(InputError, match=r"no Ray cluster answers at '127\.0\.0\.1:9'"):
        RayEngine(address="127.0.0.1:9")
