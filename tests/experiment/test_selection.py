"""Nothing of a target, or of what overlaps with it, is read while a model for it is trained and
chosen.
"""

import shutil

import pytest

from medimeta_adapter.format.dataset import MedIMetaDataset
from medimeta_adapter.format.source import MedIMetaSource
from medimeta_adapter.leave_out.collection import MedIMetaCollection
from medimeta_adapter.synthetic import generate
from tests.experiment.rows import saved
from tests.experiment.small import prepare
from torchcross.backbones import conv4
from torchcross.experiment import METHODS, read_experiment, run_experiment
from torchcross.experiment.run import training

TARGET, RELATED, SOURCES = "organs_axial", ("organs_coronal", "organs_sagittal"), ("bus", "oct")
TRAINED = [name for name, method in METHODS.items() if method.trains and not method.supervised]
READERS = ("labels", "split", "subjects", "annotations", "images", "source")


class TargetReadError(Exception):
    """The target was read while a model was trained."""


class Guard:
    """While sources are chosen and a model is trained, the files of the others are away, and their
    objects refuse to tell what they remember. `rows` are those that were read, by dataset.
    """

    def __init__(self, folder, closed, monkeypatch):
        self.folder = folder
        self.closed = closed
        self.shut = False
        self.times = 0
        self.rows = {}
        for name in READERS:
            monkeypatch.setattr(
                MedIMetaDataset, name, self.refusing(getattr(MedIMetaDataset, name))
            )
        pixels = MedIMetaDataset.__dict__["pixels"]
        monkeypatch.setattr(
            MedIMetaDataset, "pixels", property(self.refusing(lambda dataset: pixels.func(dataset)))
        )
        monkeypatch.setattr(MedIMetaSource, "images", self.watching(MedIMetaSource.images))
        monkeypatch.setattr(training, "fit", self.opening(training.fit))

    def refusing(self, plain):
        def asked(dataset, *given, **more):
            if self.shut and dataset.id in self.closed:
                raise TargetReadError(f"{dataset.id} was read in training")
            return plain(dataset, *given, **more)

        return asked

    def watching(self, plain):
        def images(source, indices, **more):
            if self.shut:
                if source.dataset_id in self.closed:
                    raise TargetReadError(f"{source.dataset_id} was read in training")
                self.rows.setdefault(source.dataset_id, set()).update(source.rows[indices].tolist())
            return plain(source, indices, **more)

        return images

    def closing(self, plain):
        def asked(*given, **more):
            self.move(True)
            return plain(*given, **more)

        return asked

    def within(self, plain):
        """Closed for the time of a call."""

        def called(*given, **more):
            before = self.shut
            self.move(True)
            try:
                return plain(*given, **more)
            finally:
                self.move(before)

        return called

    def guard_trainings(self, monkeypatch):
        planned = training.PlannedTraining
        choose = self.within(planned.of.__func__)
        monkeypatch.setattr(planned, "of", classmethod(choose))
        monkeypatch.setattr(planned, "run", self.within(planned.run))

    def opening(self, plain):
        def fit(*given, **more):
            assert self.shut
            try:
                return plain(*given, **more)
            finally:
                self.times += 1
                self.move(False)

        return fit

    def move(self, shut):
        if shut != self.shut:
            for name in self.closed:
                here, away = self.folder / name, self.folder.parent / f"{name} is away"
                (here if shut else away).rename(away if shut else here)
        self.shut = shut


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("selection")
    generate(folder / "data", scale="tiny", size=16, only=(TARGET, *RELATED, *SOURCES))
    return folder


@pytest.fixture
def root(made, tmp_path):
    shutil.copytree(made / "data", tmp_path / "data")
    return prepare(tmp_path, datasets=())


def run(root, **changes):
    told = read_experiment(root / "small.toml", {"data.targets": [TARGET], "shots": [1], **changes})
    return run_experiment(told, root / "run")


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_training_reads_training_and_validation_splits_of_sources_alone(root, monkeypatch, name):
    guard = Guard(root / "data", (TARGET, *RELATED), monkeypatch)
    guard.guard_trainings(monkeypatch)
    changes = {"data.source_tasks": "all", "meta.steps": 4}
    if METHODS[name].needs_weights:
        changes["model.weights"] = saved(conv4(2, in_channels=1, seed=3), root)
        changes["model.normalisation"] = "none"
    outcome = run(root, algorithms=[name], **changes)
    assert outcome.complete, outcome.failures
    assert guard.times == 1
    assert len(outcome.records)
    assert set(guard.rows) == set(SOURCES)
    check_splits(root, guard.rows)


def check_splits(root, rows):
    used = set()
    for name, found in rows.items():
        dataset = MedIMetaDataset(root / "data" / name)
        used |= {
            split
            for split in ("train", "val", "test")
            if found & set(dataset.split(split).tolist())
        }
    assert used == {"train", "val"}


@pytest.mark.long
def test_full_supervision_reads_its_own_training_and_validation_splits_alone(root, monkeypatch):
    guard = Guard(root / "data", (*RELATED, *SOURCES), monkeypatch)
    monkeypatch.setattr(training, "training_setup", guard.closing(training.training_setup))
    outcome = run(root, algorithms=["supervised"], shots=[0])
    assert outcome.complete, outcome.failures
    assert guard.times == 1
    assert set(guard.rows) == {TARGET}
    check_splits(root, guard.rows)


def leak_by_name(collection):
    collection.target(f"{TARGET}/{collection.meta[TARGET].info.primary_task.name}").read([0])


def leak_by_overlap(collection):
    collection.meta[RELATED[0]].labels()


def leak_by_file(collection):
    (collection.meta.root / TARGET / "info.yaml").read_bytes()


@pytest.mark.parametrize("leak", [leak_by_name, leak_by_overlap, leak_by_file])
def test_the_guard_sees_a_leak(root, monkeypatch, leak):
    guard = Guard(root / "data", (TARGET, *RELATED), monkeypatch)
    plain, known = MedIMetaCollection.sources, []

    def sources(collection, *given, **more):
        known.append(collection)
        return plain(collection, *given, **more)

    monkeypatch.setattr(MedIMetaCollection, "sources", sources)
    guard.guard_trainings(monkeypatch)
    plain_setup = training.training_setup

    def leaking(*given, **more):
        leak(known[0])
        return plain_setup(*given, **more)

    monkeypatch.setattr(training, "training_setup", leaking)
    outcome = run(root, algorithms=["protonet"])
    assert {failure["kind"] for failure in outcome.failures} <= {
        "TargetReadError",
        "FileNotFoundError",
    }
    assert len(outcome.failures) == 1
