"""What makes two experiments the same: what decides their rows, and nothing else."""

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.errors import InputError
from torchcross.experiment.run.identity import decisive_settings, identity

EARLIER = "fce8302af62c07339c548a59b8229eeb0472c4b31c8ef7c63b689c04ef1b08ab"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.folder", "/elsewhere"),
        ("evaluation.metric", "accuracy"),
        ("evaluation.interval", "bca"),
        ("machine.workers", 2),
        ("machine.device", "cpu"),
        ("meta.checkpoint_every", 7),
        ("pretraining.checkpoint_every", 7),
    ],
)
def test_what_decides_no_row(name, value, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert toy_experiment(**{name: value}) != toy_experiment()
    assert identity(toy_experiment(**{name: value})) == identity(toy_experiment())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.leave_out", "dataset"),
        ("data.source_tasks", "primary"),
        ("evaluation.groups", "ignore"),
        ("evaluation.inner_steps", 2),
        ("evaluation.C", 1.0),
        ("evaluation.support", "natural"),
        ("evaluation.temperature", "leave-one-out"),
        ("evaluation.norm", "frozen"),
        ("evaluation.episodes", 4),
        ("machine.precision", "bf16-mixed"),
        ("machine.device", "cuda"),
        ("meta.clip", 1.0),
        ("pretraining.accumulate", 2),
        ("seeds", [1]),
    ],
)
def test_what_decides_rows(name, value, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert identity(toy_experiment(**{name: value})) != identity(toy_experiment())


def test_which_of_several_gpus_decides_nothing(monkeypatch):
    assert identity(toy_experiment(**{"machine.device": "cuda:1"})) == identity(
        toy_experiment(**{"machine.device": "cuda"})
    )
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert identity(toy_experiment()) == identity(toy_experiment(**{"machine.device": "cuda"}))


def test_weights_are_known_by_what_is_in_their_file(tmp_path, monkeypatch):
    first, moved, other = (tmp_path / name for name in ("a.pth", "b.pth", "c.pth"))
    first.write_bytes(b"one")
    moved.write_bytes(b"one")
    other.write_bytes(b"two")

    def of(path):
        return identity(toy_experiment(**{"model.weights": str(path)}))

    monkeypatch.chdir(tmp_path)
    assert of(first) == of(moved) == of("a.pth")
    assert len({of(first), of(other), identity(toy_experiment())}) == 3
    assert "a.pth" not in str(decisive_settings(toy_experiment(**{"model.weights": str(first)})))
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(InputError, match=r"model\.weights=.* cannot be read"):
            of(path)


def test_a_model_in_shards_is_known_by_them_too(tmp_path):
    model, shard = tmp_path / "model.json", tmp_path / "group1-shard1of1.bin"
    model.write_text("{}")
    shard.write_bytes(b"one")
    before = identity(toy_experiment(**{"model.weights": str(model)}))
    shard.write_bytes(b"two")
    assert identity(toy_experiment(**{"model.weights": str(model)})) != before


def test_runs_of_earlier_versions_are_known():
    """The digest of version 0.1.0.dev0, whose backbone's options were a setting apart."""
    before = {"machine.device": "cpu", "machine.threads": 0}
    plain = decisive_settings(toy_experiment(**before))
    assert plain["model"]["backbone"] == {"name": "conv4", "channels": 4}
    assert identity(toy_experiment(**before)) == EARLIER
