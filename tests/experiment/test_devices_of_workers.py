"""Workers compute on the GPU that the device names by its number. No GPU is needed."""

import pickle

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.embedding import EmbeddingJob
from torchcross.experiment import experiment_from_values
from torchcross.experiment.engine_settings import engine_of_settings
from torchcross.experiment.run.engine_choice import engine_of
from torchcross.experiment.run.experiment_job import ExperimentJob
from torchcross.experiment.run.feature_job import TargetEmbeddings
from torchcross.experiment.run.workbench import workbench_of_worker
from torchcross.jobs import LocalEngine
from torchcross.jobs.engines.devices import gpu_of_device
from torchcross.transfer.studies import StudyMachine


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-5")


@pytest.mark.parametrize(
    ("device", "gpu"),
    [
        ("cuda:0", "4"),
        ("cuda:1", "GPU-5"),
        ("cuda:2", None),
        ("cuda", None),
        ("auto", None),
        ("cpu", None),
    ],
)
def test_the_gpu_of_a_device_has_the_name_that_this_process_was_given(two_gpus, device, gpu):
    assert gpu_of_device(device) == gpu


def gpus_of(engine):
    assert isinstance(engine, LocalEngine)
    return engine._gpus


def test_processes_get_the_gpu_of_the_device_alone(two_gpus, tmp_path):
    def engine(**settings):
        return engine_of(experiment_from_values({"data": {"folder": "d"}, **settings}), tmp_path, 2)

    one, any_of_them = {"machine": {"device": "cuda:1"}}, {"machine": {"device": "cuda"}}
    assert gpus_of(engine(**one)) == ("GPU-5",)
    assert gpus_of(engine(**any_of_them)) is None
    assert gpus_of(engine(**one, engine={"gpus": ["7"]})) == ("7",)
    of_study = engine_of_settings({}, tmp_path, 2, lambda: 1, "cuda:1")
    assert gpus_of(of_study) == ("GPU-5",)


def as_received(value):
    return pickle.loads(pickle.dumps(value))


def test_a_worker_sees_its_gpu_as_the_first_one(tmp_path):
    experiment = toy_experiment(**{"machine.device": "cuda:1"})
    job = as_received(ExperimentJob(experiment, "run", workbench_of_worker, "ab"))
    assert job.experiment.machine.device == "cuda"
    (sent,) = TargetEmbeddings((experiment,)).elsewhere().experiments
    assert sent.machine.device == "cuda"
    embeddings = TargetEmbeddings((experiment,))
    features = as_received(EmbeddingJob(embeddings, "features", "cuda:1", plan=()))
    assert features.device == "cuda"
    assert StudyMachine(device="cuda:1", gpus=0.5).as_sent() == StudyMachine(
        device="cuda", gpus=0.5
    )
    assert StudyMachine().as_sent() == StudyMachine()
