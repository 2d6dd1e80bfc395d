"""The rows of a table: where each begins, how it learns, what it is judged by, and how it meets a target."""

import json
from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.experiment.conftest import told as quick
from torchcross import algorithms
from torchcross.backbones import conv4
from torchcross.data import Augmentation, Episodes, EpisodeSampler, MixedBatches, TensorSource, toys
from torchcross.errors import InfeasibleError, InputError
from torchcross.experiment import experiment, methods, page, run_experiment
from torchcross.experiment.adaptation import adapter
from torchcross.experiment.methods import METHODS, backbone, course, scores_of
from torchcross.targets import Binary
from torchcross.task import Task

UNTRAINED = {"scratch", "ncm", "probe", "im-pt"}
EPISODIC = {"mm-maml", "fo-maml", "proto-maml", "anil", "boil", "meta-sgd", "reptile", "protonet", "ridge"}
BY_STEPS = EPISODIC - {"protonet", "ridge"}
METHOD = pytest.mark.parametrize("name", METHODS)


def saved(net, folder):
    """A weights file that no publisher is known of."""
    path = folder / "mine.safetensors"
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)
    return str(path)


def published(**changes):
    """The published protocol, with a small network."""
    data = {"folder": "nowhere", "channels": 1}
    model = {"backbone": "conv4", "options": {"channels": 4}}
    return experiment({"preset": "medimeta-table4", "data": data, "model": model}, changes)


class Seen(TensorSource):
    """Tells which samples were read."""

    def __init__(self, of, rows, name):
        super().__init__(of.images(np.asarray(rows)), of.targets(rows).numpy(), of.task, name=name)
        self.read_rows = []

    def read(self, indices):
        self.read_rows.append(list(indices))
        return super().read(indices)


@pytest.fixture
def splits():
    """(training, validation) of three sources of several kinds."""
    whole = [
        toys.binary(480, size=16),
        toys.multiclass(500, size=16),
        toys.multiclass(460, size=16, domain="chalk"),
    ]
    # `shape` comes from two domains; names tell them apart.
    names = ["ink/hole", "ink/shape", "chalk/shape"]
    return tuple(
        [Seen(source, list(range(half, len(source), 2)), name) for source, name in zip(whole, names, strict=True)]
        for half in (0, 1)
    )


def weights_of(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(module, weights):
    return all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())


def made(name, told, splits, seed=0):
    """The course of a row."""
    train, val = splits
    if METHODS[name].supervised:
        train, val = train[:1], val[:1]
    return course(METHODS[name], told, seed, train, val)


# -- the rows ----------------------------------------------------------------------------------------------------------


def test_every_row_is_of_one_kind():
    assert set(METHODS) == UNTRAINED | EPISODIC | {"mm-pt", "supervised"}
    assert all(name == method.name and method.says for name, method in METHODS.items())
    assert {name for name, method in METHODS.items() if not method.trains} == UNTRAINED
    assert {name for name, method in METHODS.items() if method.make is not None} == EPISODIC
    assert [name for name, method in METHODS.items() if method.pretrains] == ["mm-pt"]
    assert [name for name, method in METHODS.items() if method.supervised] == ["supervised"]
    assert [name for name, method in METHODS.items() if method.wants_weights] == ["im-pt"]
    assert [name for name, method in METHODS.items() if method.adapts is not None] == ["ncm", "probe"]


# -- where they begin --------------------------------------------------------------------------------------------------


@METHOD
def test_a_row_starts_from_the_weights_unless_it_is_scratch(name, tmp_path):
    published_weights = conv4(4, in_channels=1, seed=77)
    told = published(**{"model.weights": saved(published_weights, tmp_path), "model.normalisation": "none"})
    net = backbone(METHODS[name], told, seed=5)
    expected = conv4(4, in_channels=1, seed=5) if name == "scratch" else published_weights
    assert same(net, weights_of(expected))


@METHOD
def test_without_weights_a_row_starts_from_its_seed(name):
    told = published()
    for seed in (0, 3):
        assert same(backbone(METHODS[name], told, seed), weights_of(conv4(4, in_channels=1, seed=seed)))
    assert not same(backbone(METHODS[name], told, 0), weights_of(conv4(4, in_channels=1, seed=3)))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_takes_the_channels_of_the_data(channels):
    net = backbone(METHODS["scratch"], published(**{"data.channels": channels}), 0)
    assert net(torch.zeros(2, channels, 16, 16)).shape == (2, net.num_features)


@pytest.mark.parametrize("name", sorted(set(METHODS) - UNTRAINED))
def test_training_starts_from_the_rows_network(name, splits, tmp_path):
    begin = conv4(4, in_channels=1, seed=77)
    told = published(**{"model.weights": saved(begin, tmp_path), "model.normalisation": "none"})
    learner = made(name, told, splits).learner
    assert same(learner.backbone, weights_of(begin))


def prepared(how):
    """What an algorithm does to images before its network sees them."""
    return how.pixels.mean, how.pixels.std


@METHOD
def test_without_weights_images_are_normalised_as_published(name):
    """Three channels, with the mean and standard deviation of ImageNet, in training and on the target."""
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    colour = [
        [toys.binary(240, size=16).subset(range(half, 240, 2), name="hole") for half in (0, 1)],
        [toys.multiclass(400, size=16).subset(range(half, 400, 2), name="shape") for half in (0, 1)],
    ]
    for channels, given, expected in ((3, "", imagenet), (3, "none", ((), ())), (1, "", ((), ()))):
        told = published(**{"data.channels": channels, "model.normalisation": given})
        net = backbone(METHODS[name], told, 0)
        assert not net.normalises
        assert prepared(adapter(METHODS[name], net, told)) == expected
        if METHODS[name].trains:
            learner = made(name, told, [list(part) for part in zip(*colour, strict=True)]).learner
            assert prepared(learner) == expected
            assert prepared(adapter(METHODS[name], learner, told)) == expected


@METHOD
def test_with_weights_images_are_as_those_want_them(name, tmp_path):
    weights = saved(conv4(4, in_channels=3), tmp_path)
    with pytest.raises(InputError, match="say normalisation="):
        backbone(METHODS["im-pt"], published(**{"data.channels": 3, "model.weights": weights}), 0)
    told = published(**{"data.channels": 3, "model.weights": weights, "model.normalisation": "keras"})
    net = backbone(METHODS[name], told, 0)
    how = adapter(METHODS[name], net, told)
    keras = (123.68 / 255, 116.779 / 255, 103.939 / 255)
    if name == "scratch":
        assert prepared(how)[0] == keras
    else:
        assert net.normalises
        assert net.weights.mean == keras
        assert prepared(how) == ((), ())


def test_three_channels_normalise_no_grey_images():
    with pytest.raises(InputError, match="normalisation='imagenet' is for three channels"):
        published(**{"model.normalisation": "imagenet"})
    with pytest.raises(InputError, match="give one of '', 'imagenet', 'keras', 'none'"):
        published(**{"model.normalisation": "torchvision"})


# -- how they meet a target --------------------------------------------------------------------------------------------


def is_published_fine_tuning(how, net):
    recipe = how.recipe
    return (
        type(how) is algorithms.FineTune
        and how.backbone is net
        and (recipe.steps, recipe.lr, recipe.head, recipe.optimiser) == (50, 1e-3, "kaiming", "adam")
        and recipe.adapted == "*"
        and how.protocol()["norm"] == "running"
    )


@pytest.mark.parametrize("name", ["scratch", "im-pt"])
@pytest.mark.parametrize("adaptation", ["fine-tune", "own"])
def test_networks_without_training_are_fine_tuned(name, adaptation):
    told = published(**{"evaluation.adaptation": adaptation})
    net = conv4(4, in_channels=1)
    assert is_published_fine_tuning(adapter(METHODS[name], net, told), net)


@pytest.mark.parametrize("adaptation", ["fine-tune", "own"])
def test_ncm_and_probe_leave_the_network_as_it_is(adaptation):
    told, net = published(**{"evaluation.adaptation": adaptation}), conv4(4, in_channels=1)
    ncm, probe = adapter(METHODS["ncm"], net, told), adapter(METHODS["probe"], net, told)
    assert (type(ncm), type(probe)) == (algorithms.ProtoNet, algorithms.LinearProbe)
    assert ncm.backbone is probe.backbone is net
    assert {ncm.protocol()["norm"], probe.protocol()["norm"]} == {"frozen"}


@pytest.mark.parametrize("name", sorted(set(METHODS) - UNTRAINED))
def test_published_rows_are_all_fine_tuned_alike(name, splits):
    learner = made(name, published(), splits).learner
    assert is_published_fine_tuning(adapter(METHODS[name], learner, published()), learner.backbone)


@pytest.mark.parametrize("name", sorted(set(METHODS) - UNTRAINED))
def test_own_means_as_the_algorithm_adapts_where_it_does(name, splits):
    told = published(**{"evaluation.adaptation": "own"})
    learner = made(name, told, splits).learner
    how = adapter(METHODS[name], learner, told)
    if name in EPISODIC:
        assert how is learner
    else:
        assert is_published_fine_tuning(how, learner.backbone)


def test_fine_tuning_is_what_the_experiment_says():
    told = published(**{"evaluation.steps": 7, "evaluation.lr": 0.5, "evaluation.norm": "batch"})
    how = adapter(METHODS["scratch"], conv4(4, in_channels=1), told)
    assert (how.recipe.steps, how.recipe.lr, how.protocol()["norm"]) == (7, 0.5, "batch")


@pytest.mark.parametrize(("norm", "alone"), [("running", True), ("batch", False)])
def test_a_query_image_is_judged_alone(norm, alone, splits):
    """`running` is evaluation mode: what else is in the query does not matter."""
    told = published(**{"evaluation.norm": norm, "evaluation.steps": 2})
    episode = Episodes(EpisodeSampler(splits[0][1], shots=2, queries=3))[0]
    predictor = adapter(METHODS["scratch"], conv4(4, in_channels=1), told).adapt(episode.support, episode.task)
    together, one = predictor.logits(episode.query.x)[:1], predictor.logits(episode.query.x[:1])
    assert torch.allclose(together, one, atol=1e-5) is alone


# -- how they learn ----------------------------------------------------------------------------------------------------


def test_meta_learners_are_the_published_ones(splits):
    kinds = {
        "mm-maml": (algorithms.MAML, 2, "zero"),
        "fo-maml": (algorithms.MAML, 1, "zero"),
        "proto-maml": (algorithms.ProtoMAML, 2, "proto"),
        "anil": (algorithms.ANIL, 2, "zero"),
        "boil": (algorithms.BOIL, 2, "kaiming"),
        "meta-sgd": (algorithms.MetaSGD, 2, "zero"),
    }
    for name, (kind, order, head) in kinds.items():
        learner = made(name, published(), splits).learner
        recipe = learner.recipe
        assert type(learner) is kind, name
        assert (recipe.steps, recipe.lr, recipe.optimiser, recipe.head) == (4, 0.1, "sgd", head), name
        assert learner.protocol()["order"] == order, name
    reptile = made("reptile", published(), splits).learner
    assert type(reptile) is algorithms.Reptile
    assert (reptile.recipe.steps, reptile.recipe.lr, reptile.recipe.optimiser) == (4, 1e-3, "adam")
    assert type(made("protonet", published(), splits).learner) is algorithms.ProtoNet
    assert type(made("ridge", published(), splits).learner) is algorithms.Ridge


def test_inner_loops_are_what_the_experiment_says(splits):
    told = published(**{"meta.inner_steps": 2, "meta.inner_lr": 0.3})
    for name in sorted(BY_STEPS):
        recipe = made(name, told, splits).learner.recipe
        assert recipe.steps == 2
        assert recipe.lr == (1e-3 if name == "reptile" else 0.3)


@pytest.mark.parametrize("name", sorted(EPISODIC))
def test_meta_training_is_the_published_course(name, splits):
    options = made(name, published(), splits, seed=4).options
    assert (options.optimiser, options.lr, options.schedule, options.weight_decay) == ("adam", 1e-3, "constant", 0)
    assert (options.meta_batch, options.patience, options.seed) == (1, 5, 4)
    assert (options.steps, options.validate_every) == (20_000, 500)
    assert (options.clip, options.ema, options.warmup, options.min_delta) == (None, None, 0, 0)


@pytest.mark.parametrize("name", sorted(EPISODIC))
def test_meta_training_takes_the_published_episodes(name, splits):
    sampler = made(name, published(), splits, seed=4).data
    request = sampler.request
    assert (request.ways, request.shots, request.queries, request.min_samples) == ((2, None), (1, 10), 10, 40)
    assert (request.query, request.groups, sampler.seed) == ("balanced", "respect", 4)
    assert list(sampler.sources) == splits[0]


@pytest.mark.parametrize("name", ["mm-pt", "supervised"])
def test_pretraining_is_the_published_course(name, splits):
    made_of = made(name, published(), splits, seed=4)
    options = made_of.options
    assert (options.optimiser, options.lr, options.schedule, options.weight_decay) == ("adam", 1e-3, "constant", 0)
    assert (options.meta_batch, options.patience, options.seed) == (1, 10, 4)
    assert (options.steps, options.validate_every) == (20_000, 500)
    sources = splits[0] if name == "mm-pt" else splits[0][:1]
    assert options.epoch_steps == MixedBatches(sources, batch_size=64, order="epoch").batches_per_epoch
    item = next(made_of.data.read(0, 1))
    assert len(item.batch.x) == 64
    assert item.batch.x.shape[1:] == (1, 16, 16)


def test_full_supervision_learns_one_task(splits):
    learner = made("supervised", published(), splits).learner
    assert type(learner) is algorithms.Supervised
    assert learner.tasks == (splits[0][0].task,)


def test_pretraining_has_a_head_for_every_source(splits):
    learner = made("mm-pt", published(), splits).learner
    assert type(learner) is algorithms.MultiTask
    assert learner.tasks == tuple(source.task for source in splits[0])


@pytest.mark.parametrize("name", ["mm-pt", "supervised"])
def test_heads_begin_from_the_seed(name, splits):
    heads = [weights_of(made(name, published(), splits, seed=seed).learner.heads) for seed in (0, 1, 1)]
    assert all(torch.equal(heads[1][key], heads[2][key]) for key in heads[1])
    assert not all(torch.equal(heads[0][key], heads[1][key]) for key in heads[0])


@pytest.mark.parametrize("missing", [0, 110])
def test_losses_are_scaled_by_the_batches_that_come(missing, splits):
    """The rule is `largest / own`, with what one pass holds: a source without some labels has fewer."""
    train, val = splits
    codes = train[0].targets(range(len(train[0]))).numpy()
    codes[:missing] = -1
    task = Task("hole", Binary(["solid", "hole"], missing=-1), "ink")
    train[0] = TensorSource(train[0].images(np.arange(len(codes))), codes, task, name="ink/hole")
    made_of = made("mm-pt", published(**{"pretraining.batch_size": 50}), (train, val))
    batches = MixedBatches(train, batch_size=50, seed=0, order="epoch")
    count = Counter(batches[number].source for number in range(batches.batches_per_epoch))
    for source in train:
        assert made_of.learner._factor(source.task) == max(count.values()) / count[source.name]
    plain = made("mm-pt", published(**{"pretraining.scale_losses": False}), (train, val)).learner
    assert {plain._factor(source.task) for source in train} == {1.0}


def test_pretraining_batches_are_the_published_ones(splits):
    """Passes over all sources, images flipped, rotated and cropped by chance, the same whenever they are asked for."""
    data = made("mm-pt", published(), splits, seed=4).data
    batches = MixedBatches(splits[0], batch_size=64, seed=4, order="epoch")
    changed = Augmentation.published(4)
    taken = list(data.read(0, batches.batches_per_epoch))
    assert [item.plan for item in taken] == [batches[number] for number in range(batches.batches_per_epoch)]
    assert torch.equal(taken[3].batch.x, changed(batches.read(batches[3])).batch.x)
    assert not torch.equal(taken[3].batch.x, batches.read(batches[3]).batch.x)
    (again,) = data.read(1, 5, rank=2, ranks=4)
    assert torch.equal(again.batch.x, taken[3].batch.x)
    plain = made("mm-pt", published(**{"pretraining.augment": False}), splits, seed=4).data
    assert isinstance(plain, MixedBatches)
    assert (plain.order, plain.batch_size, plain.seed) == ("epoch", 64, 4)


def test_other_batches_have_another_fingerprint(splits):
    prints = [
        made("mm-pt", published(), splits, seed=4).data.fingerprint(2),
        made("mm-pt", published(), splits, seed=5).data.fingerprint(2),
        made("mm-pt", published(**{"pretraining.batch_size": 32}), splits, seed=4).data.fingerprint(2),
        made("mm-pt", published(), splits, seed=4).data.fingerprint(3),
    ]
    batches = MixedBatches(splits[0], batch_size=64, seed=4, order="epoch")
    prints.append(methods._Augmented(batches, Augmentation(rotation=20.0, seed=4)).fingerprint(2))
    assert len(set(prints)) == 5
    assert made("mm-pt", published(), splits, seed=4).data.fingerprint(2) == prints[0]


# -- what they are judged by -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(METHODS) - UNTRAINED))
def test_validation_reads_validation_splits_alone(name, splits):
    told = published(**{"meta.validation_episodes": 3, "meta.validation_inner_steps": 1})
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

    monkeypatch.setattr(methods, "evaluate", spying)
    made_of = made(name, published(), splits, seed=4)
    assert np.isnan(made_of.validate(made_of.learner))
    assert asked["steps"] == (32 if name in BY_STEPS else None)
    assert asked["metrics"] == ("auroc",)
    assert len(asked["episodes"]) == 50
    again = Episodes(methods._sampler(splits[1], published().meta, 5))
    assert [episode.plan for episode in asked["episodes"]] == [again[number].plan for number in range(50)]


def test_the_mean_is_over_what_is_defined(splits, monkeypatch):
    scores = iter([0.5, float("nan"), 1.0])
    monkeypatch.setattr(methods, "_auroc_of", lambda *given: next(scores))
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
            target.evaluate(target.predict(logits), source.targets(rows), metrics=("auroc",))["auroc"].value
        )
    assert found == pytest.approx(np.mean(expected))


def test_long_sources_are_scored_whole_and_in_pieces(splits, monkeypatch):
    monkeypatch.setattr(methods, "_AT_ONCE", 100)
    made_of, (source, *_) = made("supervised", published(), splits), splits[1]
    found = scores_of(made_of.learner, source, 10_000)
    assert [len(rows) for rows in source.read_rows] == [100, 100, 40]
    assert sorted(chain(*source.read_rows)) == list(range(240))
    assert set(found) == set(source.task.target.default_metrics)


def test_sources_of_other_tasks_do_not_judge(splits):
    train, val = splits
    made_of = course(METHODS["mm-pt"], published(), 0, train[:1], val)
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
    few = toys.binary(60, size=16, domain="chalk")
    train, val = ([*part, few.subset(range(60), name="chalk/hole")] for part in splits)
    made_of = made("mm-maml", published(), (train, val[:1] + val[-1:]))
    assert few.task.domain == "chalk"
    assert [source.name for source in made_of.data.sources] == ["ink/hole", "ink/shape", "chalk/shape"]
    assert made_of.learned == ("ink/hole", "ink/shape", "chalk/shape")
    (first,) = made_of.left_out
    assert first.startswith("chalk/hole: ")
    assert "min_samples=40" in first
    assert made_of.unjudged == (first,)
    assert made_of.validate is not None


def test_without_a_filter_all_classes_serve(splits):
    sampler = made("mm-maml", published(**{"meta.min_images": 0}), splits).data
    assert not any(sampler.dropped.values())
    assert list(sampler.sources) == splits[0]


def test_no_source_with_such_episodes_is_an_error(splits):
    with pytest.raises(InfeasibleError, match="mm-maml: no source has the episodes asked for: ink/hole"):
        made("mm-maml", published(**{"meta.min_images": 1000}), splits)


def test_no_more_steps_between_validations_than_steps(splits):
    short = {"meta.steps": 7, "pretraining.steps": 3}
    assert made("mm-maml", published(**short), splits).options.validate_every == 7
    assert made("mm-pt", published(**short), splits).options.validate_every == 3


def test_a_run_without_validation_splits_trains_to_its_end(collection, tmp_path, monkeypatch):
    given = collection.sources
    monkeypatch.setattr(
        collection,
        "sources",
        lambda target, *, split, tasks: given(target, split=split, tasks=tasks) * (split == "train"),
    )
    told = quick(algorithms=["mm-pt", "protonet"], **{"data.targets": ["hole"], "shots": [1]})
    outcome = run_experiment(told, tmp_path / "run")
    assert outcome.complete
    for path in (tmp_path / "run" / "train").glob("*/training.json"):
        training = json.loads(path.read_text(encoding="utf-8"))
        assert (training["steps"], training["stopped"], training["best_step"]) == (3, "steps", None)
        assert training["left_out"] == []
        assert training["unjudged"][-1].startswith("no validation split")
    assert page(tmp_path / "run").is_file()


# -- the target's episodes ---------------------------------------------------------------------------------------------


def test_a_target_is_asked_for_the_published_episodes(collection, tmp_path, monkeypatch):
    from torchcross.experiment import disjoint, runner

    asked, done = [], []

    class Spy(EpisodeSampler):
        def __init__(self, source, **given):
            asked.append((source, given))
            super().__init__(source, **given)

    def counted(how, episodes, **more):
        kept = list(episodes)
        done.append((how, kept, more))
        return iter(())

    monkeypatch.setattr(disjoint, "EpisodeSampler", Spy)
    monkeypatch.setattr(runner, "evaluate", counted)
    told = published(**{"algorithms": ["scratch"], "data.targets": ["shape"], "seeds": [3]})
    run_experiment(told, tmp_path / "run")
    # Before anything is trained, to see whether it has them, and again when they are scored.
    assert len(asked) == 2
    for source, given in asked:
        assert source is collection.made["shape"], "all splits together"
        assert given == {"shots": 5, "queries": 10, "min_samples": 50, "groups": "respect", "seed": 0}
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
    from torchcross.experiment import disjoint

    asked = []

    class Spy(EpisodeSampler):
        def __init__(self, source, **given):
            asked.append(given)
            super().__init__(source, **given)

    monkeypatch.setattr(disjoint, "EpisodeSampler", Spy)
    chosen = {"data.targets": ["hole"], "shots": [1], "evaluation.disjoint": True, "evaluation.seed": 7}
    assert run_experiment(quick(algorithms=["ncm"], **chosen), tmp_path / "run").complete
    assert [(given["disjoint"], given["seed"]) for given in asked] == [(3, 7)] * 2


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


def test_every_seed_has_a_training_of_its_own_and_targets_with_the_same_sources_share_one(
    collection, tmp_path, monkeypatch
):
    from torchcross.experiment import runner

    given, seeds, fit = collection.sources, [], runner.fit
    # Both targets leave the same sources.
    monkeypatch.setattr(
        collection, "sources", lambda target, *, split, tasks: given("hole", split=split, tasks=tasks)[:1]
    )

    def noted(learner, data, options, **more):
        seeds.append(options.seed)
        return fit(learner, data, options, **more)

    monkeypatch.setattr(runner, "fit", noted)
    told = quick(algorithms=["protonet"], seeds=[0, 1], shots=[1], **{"data.targets": ["hole", "specks"]})
    outcome = run_experiment(told, tmp_path / "run")
    assert outcome.complete
    trained = [path.name for path in (tmp_path / "run" / "train").iterdir()]
    assert len(trained) == 2
    assert set(seeds) == {0, 1}
    # The learner at hand is taken again where the next cell has the same; of the others the weights are loaded.
    weights = [path.read_bytes() for path in (tmp_path / "run" / "train").glob("*/weights.safetensors")]
    assert len(set(weights)) == 2
    specks = collection.made["specks"].name
    scores = [[row.value for row in outcome.records.where(metric="auroc", target=specks, seed=seed)] for seed in (0, 1)]
    assert len(scores[0]) == len(scores[1]) == 3
    assert scores[0] != scores[1]


def test_a_training_that_is_at_hand_is_not_done_again(collection, tmp_path, monkeypatch):
    from torchcross.experiment import runner

    given, done, fit = collection.sources, [], runner.fit
    monkeypatch.setattr(
        collection, "sources", lambda target, *, split, tasks: given("hole", split=split, tasks=tasks)[:1]
    )
    monkeypatch.setattr(runner, "fit", lambda *given, **more: (done.append(1), fit(*given, **more))[1])
    told = quick(algorithms=["protonet"], shots=[1], **{"data.targets": ["hole", "specks"]})
    assert run_experiment(told, tmp_path / "run").complete
    assert done == [1]


def test_quick_experiments_train_what_they_say(splits):
    told = quick()
    options = made("mm-maml", told, splits).options
    assert (options.steps, options.meta_batch, options.lr, options.validate_every) == (3, 1, 3e-3, 2)
    assert made("mm-pt", told, splits).options.lr == 3e-3
