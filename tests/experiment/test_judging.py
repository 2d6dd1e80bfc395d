"""What the rows of a table are judged by, and the episodes that a target is asked for."""

import json
from itertools import chain

import numpy as np
import pytest

from tests.experiment.conftest import toy_experiment as quick
from tests.experiment.rows import (
    BY_STEPS,
    EPISODIC,
    UNTRAINED,
    is_published_fine_tuning,
    made,
    published,
)
from torchcross.data import EpisodeSampler, toys
from torchcross.errors import InfeasibleError
from torchcross.evaluation import whole_source
from torchcross.evaluation.whole_source import scores_of
from torchcross.experiment import run_experiment, write_page
from torchcross.experiment.rows import training_setup as setups
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.training_setup import training_setup
from torchcross.experiment.run import scoring, training

# -- what they are judged by -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(METHODS) - UNTRAINED))
def test_validation_reads_validation_splits_alone(name, splits):
    told = published(**{"meta.validation_episodes": 1, "meta.validation_inner_steps": 1})
    made_of = made(name, told, splits)
    assert 0 <= made_of.validate(made_of.learner) <= 1
    train, val = splits
    assert not any(source.read_rows for source in train)
    assert any(source.read_rows for source in val)


@pytest.mark.parametrize("name", sorted(EPISODIC))
def test_meta_learners_are_judged_as_published(name, splits, monkeypatch):
    asked = {}

    def spying(trained, episodes, **more):
        asked.update(more, episodes=list(episodes))
        return iter(())

    monkeypatch.setattr(setups, "evaluate", spying)
    made_of = made(name, published(), splits, seed=4)
    assert np.isnan(made_of.validate(made_of.learner))
    assert asked["steps"] == (32 if name in BY_STEPS else None)
    assert asked["metrics"] == ("auroc",)
    expected = [
        plan
        for source in splits[1]
        for plan in setups._sampler([source], published().meta, 5).batch(range(100))
    ]
    assert [episode.plan for episode in asked["episodes"]] == expected, "100 of each source"
    asked.clear()
    together = published(**{"meta.validation_episodes_of": "all", "meta.validation_episodes": 7})
    made_of = made(name, together, splits, seed=4)
    made_of.validate(made_of.learner)
    assert [episode.plan for episode in asked["episodes"]] == list(
        setups._in_epochs(splits[1], published().meta, 5).batch(range(7))
    )


def test_the_mean_is_over_what_is_defined(splits, monkeypatch):
    scores = iter([0.5, float("nan"), 1.0])
    monkeypatch.setattr(setups, "_auroc_of", lambda *given: next(scores))
    made_of = made("mm-pt", published(), splits)
    assert made_of.validate(made_of.learner) == 0.75


def test_pretraining_is_judged_by_auroc_over_so_many_images(splits):
    val = splits[1]
    made_of = made("mm-pt", published(**{"pretraining.validation_images": 30}), splits)
    found = made_of.validate(made_of.learner)
    expected = []
    for source in val:
        rows = source.read_rows[0]
        assert len(source.read_rows) == 1
        assert len(rows) == len(set(rows)) == 30
        assert np.ptp(np.diff(rows)) <= 1, "evenly spaced"
        assert rows[0] == 0
        assert len(source) - rows[-1] <= len(source) / 30 + 1
        target = source.task.target
        logits = made_of.learner.predictor(source.task).logits(source.read(rows))
        expected.append(
            target.evaluate(target.predict(logits), source.targets(rows), metrics=("auroc",))[
                "auroc"
            ].value
        )
    assert found == pytest.approx(np.mean(expected))


def test_long_sources_are_scored_whole_and_in_pieces(splits, monkeypatch):
    monkeypatch.setattr(whole_source, "_IMAGES_AT_ONCE", 100)
    made_of, (source, *_) = made("supervised", published(), splits), splits[1]
    found = scores_of(made_of.learner, source)
    assert [len(rows) for rows in source.read_rows] == [100, 100, 40]
    assert sorted(chain(*source.read_rows)) == list(range(240))
    assert set(found) == set(source.task.target.default_metrics)


def test_sources_of_other_tasks_do_not_judge(splits):
    train, val = splits
    made_of = training_setup(METHODS["mm-pt"], published(), 0, train[:1], val)
    made_of.validate(made_of.learner)
    assert [bool(source.read_rows) for source in val] == [True, False, False]


@pytest.mark.parametrize("name", ["mm-pt", "mm-maml", "supervised"])
def test_without_validation_nothing_stops_early(name, splits):
    train, val = splits
    made_of = made(name, published(), (train, []))
    assert made_of.validate is None
    assert (made_of.options.validate_every, made_of.options.patience) == (None, None)
    assert [line for line in made_of.unjudged if "no validation split" in line]
    assert not made_of.left_out
    assert not made(name, published(), (train, val)).unjudged


def test_who_is_left_out_is_told(splits):
    few = toys.binary(72, size=16, domain="chalk")
    train, val = ([*part, few.subset(range(72), name="chalk/hole")] for part in splits)
    told = published(**{"meta.filter_binary": True})
    made_of = made("mm-maml", told, (train, val[:1] + val[-1:]))
    assert few.task.domain == "chalk"
    assert [source.name for source in made_of.data.sampler.sources] == [
        "ink/hole",
        "ink/shape",
        "chalk/shape",
    ]
    assert made_of.learned == ("ink/hole", "ink/shape", "chalk/shape")
    (first,) = made_of.left_out
    assert first.startswith("chalk/hole: ")
    assert "meta.min_images=40" in first
    assert made_of.unjudged == (first,)
    assert made_of.validate is not None
    unfiltered = made("mm-maml", published(), (train, val))
    assert unfiltered.learned[-1] == "chalk/hole", "as published, binary tasks are not filtered"


def test_without_a_filter_all_classes_serve(splits):
    chosen = {"meta.min_images": 0, "meta.augment": False}
    plans = made("mm-maml", published(**chosen), splits).data
    for sampler in plans._samplers.values():
        assert not any(sampler.dropped_classes.values())
    assert list(plans.sources) == splits[0]


def test_no_source_with_such_episodes_is_an_error(splits):
    with pytest.raises(
        InfeasibleError, match="mm-maml: no source has the episodes asked for: ink/hole"
    ) as refusal:
        made("mm-maml", published(**{"meta.min_images": 1000, "meta.filter_binary": True}), splits)
    assert "meta.min_images = 1000 (on the command line: --set" in str(refusal.value)
    assert "min_samples" not in str(refusal.value)


def test_no_more_steps_between_validations_than_steps(splits):
    short = {"meta.steps": 7, "pretraining.steps": 3}
    assert made("mm-maml", published(**short), splits).options.validate_every == 7
    assert made("mm-pt", published(**short), splits).options.validate_every == 3


@pytest.mark.long
def test_a_run_without_validation_splits_trains_to_its_end(collection, tmp_path, monkeypatch):
    given = collection.sources
    monkeypatch.setattr(
        collection,
        "sources",
        lambda target, *, split, tasks: (
            given(target, split=split, tasks=tasks) * (split == "train")
        ),
    )
    told = quick(algorithms=["mm-pt", "protonet"], **{"data.targets": ["hole"], "shots": [1]})
    outcome = run_experiment(told, tmp_path / "run")
    assert outcome.complete
    for path in (tmp_path / "run" / "train").glob("*/training.json"):
        training = json.loads(path.read_text(encoding="utf-8"))
        assert (training["steps"], training["stopped"], training["best_step"]) == (3, "steps", None)
        assert training["left_out"] == []
        assert training["unjudged"][-1].startswith("no validation split")
    assert write_page(tmp_path / "run").is_file()


# -- the target's episodes -------------------------------------------------------------------------


def test_a_target_is_asked_for_the_published_episodes(collection, tmp_path, monkeypatch):
    from torchcross.experiment.rows import target_episodes

    asked, done = [], []

    class Spy(EpisodeSampler):
        def __init__(self, source, **given):
            asked.append((source, given))
            super().__init__(source, **given)

    def counted(how, episodes, **more):
        kept = list(episodes)
        done.append((how, kept, more))
        return iter(())

    monkeypatch.setattr(target_episodes, "EpisodeSampler", Spy)
    monkeypatch.setattr(scoring, "evaluate", counted)
    told = published(**{"algorithms": ["scratch"], "data.targets": ["shape"], "seeds": [3]})
    run_experiment(told, tmp_path / "run")
    # To see whether it has them, before there is a folder and before anything is trained; and again
    # when they are scored.
    assert len(asked) == 3
    for source, given in asked:
        assert source is collection.made["shape"], "all splits together"
        assert given == {
            "shots": 5,
            "support": "balanced",
            "queries": 10,
            "query": "balanced",
            "min_samples": 50,
            "groups": "respect",
            "seed": 0,
        }
    ((how, episodes, more),) = done
    assert is_published_fine_tuning(how, how.backbone)
    assert len(episodes) == 100
    for episode in episodes:
        counts = np.bincount(episode.support.y.numpy())
        assert counts.tolist() == [5] * len(counts)
        assert np.bincount(episode.query.y.numpy()).tolist() == [10] * len(counts)
    assert (more["shots"], more["seed"]) == (5, 3)
    assert more.get("steps") is None, "as many as fine-tuning has"


def test_disjoint_episodes_are_asked_for_as_many_as_are_scored(collection, tmp_path, monkeypatch):
    from torchcross.experiment.rows import target_episodes

    asked = []

    class Spy(EpisodeSampler):
        def __init__(self, source, **given):
            asked.append(given)
            super().__init__(source, **given)

    monkeypatch.setattr(target_episodes, "EpisodeSampler", Spy)
    chosen = {
        "data.targets": ["hole"],
        "shots": [1],
        "evaluation.disjoint": True,
        "evaluation.seed": 7,
        # Features have a sampler of their own.
        "evaluation.features": "none",
    }
    assert run_experiment(quick(algorithms=["ncm"], **chosen), tmp_path / "run").complete
    # A run without any episode is refused before it has a folder: one is asked for.
    assert [(given["disjoint"], given["seed"]) for given in asked] == [(1, 7), (3, 7), (3, 7)]


@pytest.mark.parametrize("tasks", ["primary", "all"])
def test_sources_are_the_tasks_that_were_chosen(tasks, collection, tmp_path, monkeypatch):
    given, asked = collection.sources, []

    def spying(target, *, split, tasks):
        asked.append((target, split, tasks))
        return given(target, split=split, tasks=tasks)

    monkeypatch.setattr(collection, "sources", spying)
    chosen = {"data.targets": ["hole"], "shots": [1], "data.source_tasks": tasks}
    assert run_experiment(quick(algorithms=["protonet"], **chosen), tmp_path / "run").complete
    assert set(asked) == {("hole", "train", tasks), ("hole", "val", tasks)}


@pytest.mark.long
def test_every_seed_has_a_training_of_its_own_and_targets_with_the_same_sources_share_one(
    collection, tmp_path, monkeypatch
):

    given, seeds, fit = collection.sources, [], training.fit
    # Both targets leave the same sources.
    monkeypatch.setattr(
        collection,
        "sources",
        lambda target, *, split, tasks: given("hole", split=split, tasks=tasks)[:1],
    )

    def noted(learner, data, options, **more):
        seeds.append(options.seed)
        return fit(learner, data, options, **more)

    monkeypatch.setattr(training, "fit", noted)
    told = quick(
        algorithms=["protonet"], seeds=[0, 1], shots=[1], **{"data.targets": ["hole", "specks"]}
    )
    outcome = run_experiment(told, tmp_path / "run")
    assert outcome.complete
    trained = [path.name for path in (tmp_path / "run" / "train").iterdir()]
    assert len(trained) == 2
    assert set(seeds) == {0, 1}
    # The learner at hand is taken again where the next cell has the same; of the others the weights
    # are loaded.
    weights = [
        path.read_bytes() for path in (tmp_path / "run" / "train").glob("*/weights.safetensors")
    ]
    assert len(set(weights)) == 2
    specks = collection.made["specks"].name
    scores = [
        [row.value for row in outcome.records.where(metric="auroc", target=specks, seed=seed)]
        for seed in (0, 1)
    ]
    assert len(scores[0]) == len(scores[1]) == 3
    assert scores[0] != scores[1]


@pytest.mark.slow
def test_a_training_that_is_at_hand_is_not_done_again(collection, tmp_path, monkeypatch):

    given, done, fit = collection.sources, [], training.fit
    monkeypatch.setattr(
        collection,
        "sources",
        lambda target, *, split, tasks: given("hole", split=split, tasks=tasks)[:1],
    )
    monkeypatch.setattr(
        training, "fit", lambda *given, **more: (done.append(1), fit(*given, **more))[1]
    )
    told = quick(algorithms=["protonet"], shots=[1], **{"data.targets": ["hole", "specks"]})
    assert run_experiment(told, tmp_path / "run").complete
    assert done == [1]


def test_quick_experiments_train_what_they_say(splits):
    told = quick()
    options = made("mm-maml", told, splits).options
    assert (options.steps, options.meta_batch, options.lr, options.validate_every) == (
        3,
        1,
        3e-3,
        2,
    )
    assert made("mm-pt", told, splits).options.lr == 3e-3
