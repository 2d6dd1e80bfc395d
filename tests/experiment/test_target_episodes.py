"""What targets can give is known from their labels, before anything is trained for them, and told
on the page.
"""

import json

import numpy as np
import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.data import EpisodeSampler, TensorSource, toys
from torchcross.errors import InfeasibleError, ReadError
from torchcross.experiment import run_experiment, write_page
from torchcross.experiment.rows import target_episodes
from torchcross.experiment.rows.target_episodes import describe_plans
from torchcross.experiment.run import protocol, training
from torchcross.targets import Binary
from torchcross.task import Task


def plain(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def rare(source, count):
    """The same, with so many samples of the first class."""
    rows = np.flatnonzero(source.labels != 0).tolist()
    return source.subset(
        sorted([*np.flatnonzero(source.labels == 0)[:count].tolist(), *rows]), name=source.name
    )


def one_target(**changes):
    return toy_experiment(
        **{"algorithms": ["protonet"], "shots": [1], "data.targets": ["shape"], **changes}
    )


def test_a_target_that_cannot_give_the_episodes_is_known_before_its_training(
    collection, tmp_path, monkeypatch
):
    def fit(*given, **more):
        raise AssertionError("trained for nothing")

    monkeypatch.setattr(training, "fit", fit)
    collection.made["shape"] = collection.made["shape"].subset(range(6), name="shape")
    outcome = run_experiment(one_target(**{"data.targets": ["shape", "hole"]}), tmp_path)
    kinds = {failure["target"]: failure["kind"] for failure in outcome.failures}
    assert kinds == {"shape": "InfeasibleError", "hole": "AssertionError"}


def test_a_run_without_any_episode_is_refused_before_it_has_a_folder(collection, tmp_path):
    chosen = one_target(**{"evaluation.queries": 10_000, "data.targets": ["shape", "hole"]})
    with pytest.raises(InfeasibleError, match=r"(?s)no target gives.*shape.*10000 queries.*hole"):
        run_experiment(chosen, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_target_that_can_be_read_again_is_looked_at_again(collection, tmp_path, monkeypatch):
    calls, plain_target = [], collection.target

    def target(name, **more):
        calls.append(name)
        if len(calls) == 1:
            raise ReadError("the disk sleeps")
        return plain_target(name, **more)

    monkeypatch.setattr(collection, "target", target)
    assert run_experiment(one_target(), tmp_path).complete
    assert plain(tmp_path, "protocol.json")["episodes of targets"]["shape"]["episodes"] == 3


def test_classes_left_out_are_told(collection, tmp_path):
    collection.made["shape"] = rare(collection.made["shape"], 3)
    lost = collection.made["shape"].task.target.classes[0]
    assert run_experiment(one_target(**{"evaluation.min_images": 4}), tmp_path).complete
    told_of = plain(tmp_path, "protocol.json")["episodes of targets"]["shape"]
    assert told_of["classes left out"] == [lost]
    assert lost not in told_of["classes"]
    assert f"shape: {lost}. They have fewer than 4 images." in write_page(tmp_path).read_text(
        encoding="utf-8"
    )


def test_disjoint_episodes_are_as_many_as_there_are(collection, tmp_path, monkeypatch):
    asked = []

    def noted(source, **request):
        asked.append(request.get("disjoint"))
        return EpisodeSampler(source, **request)

    monkeypatch.setattr(target_episodes, "EpisodeSampler", noted)
    collection.made["shape"] = rare(collection.made["shape"], 14)
    changes = {"evaluation.disjoint": True, "evaluation.episodes": 9, "evaluation.min_images": 14}
    outcome = run_experiment(one_target(algorithms=["ncm", "protonet"], **changes), tmp_path)
    assert outcome.complete
    # Each takes three of the rare class, one to learn from and two to be asked about.
    assert len(outcome.records.where(metric="auroc", algorithm="ncm")) == 4
    assert set(outcome.records.unique("episode")) == {0, 1, 2, 3}
    # Found out once, though two algorithms are scored.
    assert [count for count in asked if count == 9] == [9]
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert "shape: 4. Their images give no more disjoint ones; 9 were asked for." in text


@pytest.mark.usefixtures("collection")
def test_what_is_known_of_targets_is_kept_when_the_run_goes_on(tmp_path):
    both = toy_experiment(algorithms=["ncm"], shots=[1])
    run_experiment(both, tmp_path)
    before = plain(tmp_path, "protocol.json")
    assert set(before["episodes of targets"]) == {"hole", "specks"}
    next((tmp_path / "rows").iterdir()).unlink()
    run_experiment(both, tmp_path)
    assert plain(tmp_path, "protocol.json") == before


@pytest.mark.usefixtures("collection")
def test_an_old_run_keeps_its_words(tmp_path, monkeypatch):
    run_experiment(one_target(algorithms=["ncm"]), tmp_path)
    before = plain(tmp_path, "protocol.json")["choices"]
    monkeypatch.setattr(protocol, "choices", lambda told: {"episodes of a target": "other words"})
    monkeypatch.setattr(
        "torchcross.experiment.page.run_choices.choices",
        lambda told: {"episodes of a target": "other words"},
    )
    run_experiment(one_target(algorithms=["ncm"]), tmp_path)
    assert plain(tmp_path, "protocol.json")["choices"] == before
    assert before[0][0] == "episodes of a target", "the most important first"
    assert "other words" not in write_page(tmp_path).read_text(encoding="utf-8")


def test_a_source_of_the_targets_domain_is_told_first(collection, tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "cautions", lambda target: ("a is of its domain too",))
    said = []
    run_experiment(one_target(algorithms=["ncm"]), tmp_path, say=said.append)
    assert said[0] == "note: shape: a is of its domain too"
    assert "shape: a is of its domain too." in write_page(tmp_path).read_text(encoding="utf-8")


def test_subjects_on_both_sides_are_counted(collection, tmp_path):
    of = collection.made["hole"]
    rows = np.arange(len(of))
    grouped = TensorSource(
        of.images(rows), of.targets(rows).numpy(), of.task, groups=rows % 3, name=of.name
    )
    collection.made["hole"] = grouped
    changes = {"data.targets": ["hole"], "algorithms": ["ncm"], "evaluation.groups": "ignore"}
    assert run_experiment(one_target(**changes), tmp_path).complete
    (told_of,) = (
        plain(tmp_path, f"episodes/{path.name}") for path in (tmp_path / "episodes").glob("*.json")
    )
    assert told_of["shared subjects"] > 0
    assert "Subjects are in both support and query" in write_page(tmp_path).read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"evaluation.steps": 7}, True),
        ({"evaluation.seed": 1}, False),
        ({"evaluation.queries": 3}, False),
    ],
)
def test_a_digest_is_of_the_episodes_alone(changes, same):
    source = toys.binary(200, size=8)

    def digest(told_of):
        found = target_episodes.target_episodes(source, told_of)
        plans = [found.sampler[number] for number in range(found.count)]
        return describe_plans(source, plans)["digest"]

    assert (digest(one_target()) == digest(one_target(**changes))) == same


def test_the_same_numbers_of_other_classes_are_other_episodes():
    source = toys.binary(200, size=8)
    task = Task(source.task.name, Binary(("none", "some")), domain=source.task.domain)
    renamed = TensorSource(source.images(np.arange(200)), source.labels, task, name=source.name)
    assert describe_plans(source, [])["digest"] != describe_plans(renamed, [])["digest"]
