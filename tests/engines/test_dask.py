"""Any executor is an engine: Dask's, of a real cluster of processes."""

import pytest
from distributed import Client, LocalCluster

from tests.jobs.sums import Sums, expected, results, runs_of
from torchcross.jobs import ExecutorEngine, run_job

pytestmark = pytest.mark.slow


def test_the_executor_of_a_dask_client(tmp_path):
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        engine = ExecutorEngine(client.get_executor(), slots=4)
        assert run_job(Sums(str(tmp_path)), tmp_path, engine).is_complete
    assert results(tmp_path) == expected()
    assert len(runs_of(tmp_path)) == 8
