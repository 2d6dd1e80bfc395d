"""What cannot work is refused, by episode and sample, and leaves everything as it was."""

import inspect

import pytest
import torch
from torch import nn

from tests.algorithms.cases import TARGETS, WIDTH, Net, episode_of, same, snapshot
from torchcross import algorithms
from torchcross.algorithms import (
    ANIL,
    BOIL,
    MAML,
    FineTune,
    InnerLoopRecipe,
    LearnedHeads,
    MetaSGD,
    MultiTask,
    ProtoMAML,
    ProtoNet,
    Reptile,
    Ridge,
    Supervised,
    TextLogistic,
    TextPrototypes,
)
from torchcross.episode import Batch, Episode
from torchcross.errors import DivergenceError, InputError, LabelError
from torchcross.targets import MultiClass, MultiLabel
from torchcross.task import Task
from torchcross.text import TextVectors

TASK = Task("t", TARGETS["binary"], "toys")
EVERY = [
    kind
    for kind in (getattr(algorithms, name) for name in algorithms.__all__)
    if inspect.isclass(kind)
    and issubclass(kind, algorithms.Algorithm | algorithms.Pretraining)
    and not inspect.isabstract(kind)
]
ALGORITHMS = [
    lambda: MAML(Net(), steps=1),
    lambda: ANIL(Net(), steps=1),
    lambda: ProtoNet(Net()),
    lambda: Ridge(Net()),
    lambda: FineTune(Net(), steps=1),
]
each = pytest.mark.parametrize("make", ALGORITHMS)


@pytest.mark.parametrize("make", [MAML, ProtoNet, FineTune, Ridge])
def test_a_name_is_no_network(make):
    with pytest.raises(InputError, match=rf"{make.__name__} got the name 'conv4' and needs"):
        make("conv4")
    with pytest.raises(InputError, match=rf"{make.__name__} got NoneType as its backbone"):
        make(None)


def with_tensors(episode, *, x=None, y=None, part="support"):
    parts = {"support": episode.support, "query": episode.query}
    before = parts[part]
    parts[part] = Batch(before.x if x is None else x, before.y if y is None else y)
    return Episode(parts["support"], parts["query"], episode.task, episode.plan)


def refuses(learner, episode, error, match):
    before = snapshot(learner)
    with pytest.raises(error, match=match):
        learner.meta_loss([episode_of(episode.task.target, 7), episode])
    assert same(before, snapshot(learner))


@each
def test_a_support_without_one_of_its_classes(make):
    learner, episode = make(), episode_of(TARGETS["multiclass"], 3)
    labels = episode.support.y.clone()
    labels[labels == 1] = 2
    refuses(
        learner,
        with_tensors(episode, y=labels),
        InputError,
        r"episode 3 of 'toys': the support set has no.*'square'",
    )
    target = MultiLabel(["cyst", "edema"])
    answers = torch.tensor([[1, 0], [0, 0], [1, 0]])
    bad = Episode(
        Batch(torch.zeros(3, 1, 6, 6), answers), episode_of(target).query, Task("f", target)
    )
    refuses(
        learner, bad, InputError, r"position 1 \('f'\).*'edema' \(every label needs samples with it"
    )


@each
@pytest.mark.parametrize("part", ["support", "query"])
def test_labels_outside_the_target(make, part):
    learner, episode = make(), episode_of(TARGETS["multiclass"], 3)
    labels = getattr(episode, part).y.clone()
    labels[2] = 3
    refuses(
        learner,
        with_tensors(episode, y=labels, part=part),
        LabelError,
        rf"the {part} set.*at sample 2.*codes 0..2",
    )
    refuses(learner, with_tensors(episode, y=labels - 5, part=part), LabelError, "-1 for missing")
    refuses(
        learner, with_tensors(episode, y=labels.float(), part=part), LabelError, "target.encode"
    )
    wide = with_tensors(episode, y=labels[:, None], part=part)
    refuses(learner, wide, LabelError, r"of shape \(\d, 1\)")


@each
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("part", ["support", "query"])
def test_pixels_that_are_no_numbers(make, value, part):
    learner, episode = make(), episode_of(TARGETS["binary"], 3)
    images = getattr(episode, part).x.clone()
    images[4, 0, 1, 1] = value
    match = (
        rf"episode 3 of 'toys': the {part} set has NaN or infinite pixels in 1 of \d images: image"
        r" 4;"
    )
    refuses(learner, with_tensors(episode, x=images, part=part), InputError, match)


def test_a_sum_may_overflow_where_no_pixel_does():
    learner, episode = ANIL(Net().float(), steps=1), episode_of(TARGETS["binary"])
    huge = torch.full_like(episode.support.x, 3e38).float()
    huge[0] = -3e38
    with pytest.raises(DivergenceError, match="diverged"):
        learner.meta_loss([with_tensors(episode, x=huge.abs()), episode])
    assert not torch.isfinite(huge.abs().sum())


@each
def test_empty_sets_and_images_of_whole_numbers(make):
    learner, episode = make(), episode_of(TARGETS["binary"], 3)
    empty = with_tensors(
        episode, x=torch.zeros(0, 1, 6, 6), y=torch.zeros(0, dtype=torch.int64), part="query"
    )
    refuses(learner, empty, InputError, "the query set is empty")
    refuses(
        learner,
        with_tensors(episode, x=episode.support.x.long()),
        InputError,
        "int64; give uint8 images",
    )
    with pytest.raises(InputError, match="at least one episode"):
        learner.meta_loss([])
    with pytest.raises(InputError, match="2 indices were given for 1"):
        learner.meta_loss([episode], indices=[1, 2])


def test_features_that_are_no_features():
    episode = episode_of(TARGETS["binary"], 3)
    refuses(
        MAML(nn.Conv2d(1, 2, 3).double()),
        episode,
        InputError,
        r"episode 7 .*Conv2d made \(8, 2, 4, 4\).*Flatten",
    )
    refuses(
        MAML(Net(), features=9),
        episode,
        InputError,
        rf"episode 7 .*made {WIDTH} features.*expects 9",
    )
    flat = nn.Sequential(nn.Flatten(), nn.Linear(36, 5)).double()
    flat.num_features = 6
    refuses(MAML(flat), episode, InputError, "made 5 features .* expects 6")


def test_a_learned_head_of_another_width_or_another_task():
    target = TARGETS["multiclass"]
    learner = MAML(Net(), steps=1, head=LearnedHeads([Task("other", target)], WIDTH))
    refuses(
        learner,
        episode_of(target),
        InputError,
        r"no learned head for the task 'made-up'.*task=/other",
    )
    wide = MAML(Net(), steps=1, head=LearnedHeads([Task("made-up", target, "toys")], 9).double())
    refuses(wide, episode_of(target), InputError, "learned heads are for 9 features")


def test_an_inner_loop_that_diverges():
    learner = MAML(Net(), steps=6, lr=1e300)
    refuses(
        learner,
        episode_of(TARGETS["binary"], 3),
        DivergenceError,
        "episode 7.*the inner loop diverged",
    )


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"head": "proton"}, "MAML: head='proton' is not one of 'zero', 'kaiming', 'proto'"),
        ({"optimiser": "lion"}, "'sgd', 'momentum', 'nesterov', 'adam', 'adamw'"),
        ({"steps": -1}, "steps=-1"),
        ({"steps": 2.5}, r"MAML: steps=2\.5 is not an integer of at least 0"),
        ({"lr": -0.1}, r"MAML: lr=-0\.1 is not a finite number of at least 0"),
        ({"lr": "0.1"}, r"MAML: lr='0\.1' is not a finite number"),
        ({"first_order_epochs": -1}, "first_order_epochs=-1 is not an integer of at least 0"),
        ({"order": 3}, "order=3"),
        ({"memory": "none"}, "'fast', 'low'"),
        ({"engine": "mixed", "order": 1}, "give one of them"),
        ({"memory": "low", "order": 1}, "give one of them"),
        ({"engine": "steam"}, "no engine is called 'steam'"),
        ({"norm": "weird"}, "no BatchNorm policy is called 'weird'"),
        ({"adapted": "layer9.*"}, "'layer9.*' names none"),
        ({"adapted": "conv1.*"}, "a zero head left as it is"),
        ({"rates": "cosine"}, "rates='cosine'"),
        ({"multi_step": 0}, "multi_step=0"),
        ({"multi_step": 5, "steps": 0}, "multi_step=5 with 0 steps; give 1 step or more"),
        ({"multi_step": 5, "engine": "implicit"}, "sees the solution alone; leave multi_step out"),
        ({"lanes": 0}, "lanes must be"),
    ],
)
def test_settings_that_do_not_exist(options, match):
    with pytest.raises(InputError, match=match):
        MAML(Net(), **options).training_step([episode_of(TARGETS["binary"])])


@pytest.mark.parametrize("algorithm", EVERY, ids=lambda kind: kind.__name__)
def test_an_unknown_option_is_refused_in_the_name_of_the_algorithm(algorithm):
    texts = TextVectors({name: torch.ones(2) for name in TASK.classes})
    inputs = {
        Supervised: [TASK],
        MultiTask: [[TASK]],
        TextPrototypes: [texts],
        TextLogistic: [texts],
    }.get(algorithm, [])
    with pytest.raises(
        TypeError, match=f"no option of {algorithm.__name__} is called 'featurs'.*'features'"
    ):
        algorithm(Net(), *inputs, featurs=WIDTH)


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        (ANIL, {"norm_weights": "shared"}),
        (FineTune, {"order": 2}),
        (MetaSGD, {"optimiser": "adam"}),
        (ProtoMAML, {"head": "proto"}),
        (ProtoNet, {"steps": 1}),
        (Reptile, {"lanes": 2}),
    ],
)
def test_an_option_of_another_algorithm_is_refused(algorithm, options):
    (name,) = options
    with pytest.raises(TypeError, match=f"no option of {algorithm.__name__} is called '{name}'"):
        algorithm(Net(), **options)


def test_settings_that_cannot_work():
    with pytest.raises(InputError, match="zero head"):
        BOIL(Net(), head="zero")
    for norm in ("running", "per_step"):
        with pytest.raises(InputError, match="takes no inner steps"):
            ProtoNet(Net(), norm=norm)
    named = nn.Module()
    named.head = nn.Linear(2, 2)
    with pytest.raises(InputError, match=r"a parameter called 'head\.(bias|weight)'"):
        MAML(named)
    annealed = MAML(Net(), multi_step=5)
    with pytest.raises(InputError, match="say which epoch it is"):
        annealed.meta_loss([episode_of(TARGETS["binary"])])
    with pytest.raises(InputError, match="0 or more"):
        annealed.meta_loss([episode_of(TARGETS["binary"])], epoch=-1)
    with pytest.raises(InputError, match="no inner steps"):
        ProtoNet(Net()).adapt(
            episode_of(TARGETS["binary"]).support, Task("t", TARGETS["binary"]), steps=3
        )
    assert InnerLoopRecipe("MAML", 1, 0.1).engine_at(0).name == "reverse"


def test_inference_mode_is_refused_and_no_grad_is_not():
    episode, learner = episode_of(TARGETS["binary"]), MAML(Net(), steps=1)
    with torch.no_grad():
        learner.adapt(episode.support, episode.task)
        loss = learner.meta_loss([episode])
    assert not loss.requires_grad
    with torch.inference_mode(), pytest.raises(InputError, match="no_grad"):
        learner.adapt(episode.support, episode.task)


def test_kaiming_heads_belong_to_the_number_of_the_episode():
    target = MultiClass(["a", "b", "c"])
    learner, episode = MAML(Net(), steps=1, head="kaiming"), episode_of(target)
    one, two, three = (
        learner.adapt(episode.support, episode.task, index=at, seed=seed)
        for at, seed in ((0, 0), (1, 0), (0, 1))
    )
    images = episode.query.x
    assert not torch.equal(one.logits(images), two.logits(images))
    assert not torch.equal(one.logits(images), three.logits(images))
    assert (two.protocol["index"], three.protocol["seed"]) == (1, 1)
    with pytest.raises(InputError, match="has no plan, and a Kaiming head"):
        learner.meta_loss([Episode(episode.support, episode.query, episode.task)])
