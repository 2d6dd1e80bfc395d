"""What a target is made of: classes, label values, declared unknowns, loss and options."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from torchcross.errors import InputError, TargetError
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal


def refused(message: str):
    return pytest.raises(TargetError, match=re.escape(message))


class Coloured(str):
    """Text that shows itself otherwise, as members of some enumerations do."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"Colour.{self.upper()}"


@pytest.mark.parametrize(
    "classes",
    [
        ["a", "b"],
        ("a", "b"),
        np.array(["a", "b"]),
        {0: "a", 1: "b"},
        {0.0: "a", np.int8(1): "b"},
        {"a": 0, "b": 0}.keys(),
    ],
    ids=["list", "tuple", "array", "mapping", "mapping of odd integers", "keys"],
)
def test_classes_may_come_in_any_ordered_container(classes):
    target = MultiClass(classes)
    assert target == MultiClass(["a", "b"])
    assert [type(name) for name in target.classes] == [str, str]
    assert [type(value) for value in target.values] == [int, int]


def test_names_become_plain_text():
    target = MultiClass([Coloured("red"), Coloured("blue")])
    assert repr(target) == "MultiClass(['red', 'blue'])"
    assert [f"{name}" for name in target.classes] == ["red", "blue"]


def test_a_mapping_gives_every_class_its_label_value():
    target = MultiClass({7: "seven", -3: "minus three", 0: "zero"})
    assert target.classes == ("seven", "minus three", "zero")
    assert target.values == (7, -3, 0)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("ab", "got 'ab' for its classes; pass a list of names"),
        ({"a"}, "a set has no order"),
        (frozenset("ab"), "a set has no order"),
        (5, "got 5 for its classes; pass a list of names"),
        (None, "got None for its classes; pass a list of names"),
        (["a"], "got 1 class name(s), ['a']; give at least 2"),
        ([], "give at least 2"),
        (["a", "b", "a"], "got the class names ['a'] more than once"),
        (["a", " "], "got ' ' as a class name"),
        (["a", None], "got None as a class name"),
        ({"a": 0, "b": 1}, "a mapping from label value to name, e.g. {0: 'a', 4: 'b'}"),
        (
            {"0": "a", "1": "b"},
            "got '0' as the label value of a class; give distinct (64-bit) integers",
        ),
        ({0.5: "a", 1: "b"}, "got 0.5 as the label value"),
        ({True: "a", 2: "b"}, "got True as the label value"),
        ({float("nan"): "a", 2: "b"}, "got nan as the label value"),
        ({float("inf"): "a", 2: "b"}, "got inf as the label value"),
        ({10**30: "a", 2: "b"}, "(64-bit) integers"),
        ({10**400: "a", 2: "b"}, "(64-bit) integers"),
    ],
)
def test_classes_that_describe_nothing_are_refused(classes, message):
    with refused(message):
        MultiClass(classes)


def test_many_repeated_names_are_named_without_delay():
    with refused("more than once"):
        MultiClass([f"class {number // 2}" for number in range(100_000)])


def test_binary_takes_exactly_two_classes():
    assert Binary().classes == ("negative", "positive")
    with refused("Binary got 3 classes, ['a', 'b', 'c']; it takes two, use MultiClass for more"):
        Binary(["a", "b", "c"])
    with refused("Binary got 1 class name(s)"):
        Binary(["a"])


def test_ordinal_grades_come_as_keys_or_as_a_list():
    by_list = Ordinal(["none", "some", "much"], grades=[0, 1, 4])
    by_array = Ordinal(["none", "some", "much"], grades=np.array([0.0, 1.0, 4.0]))
    by_key = Ordinal({0: "none", 1: "some", 4: "much"})
    assert by_list == by_array == by_key
    assert by_key.grades == (0, 1, 4)
    assert Ordinal(["a", "b", "c"]).grades == (0, 1, 2)
    assert Ordinal({-3: "low", 0: "mid"}).grades == (-3, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (["a", "b"], [4, 1]),
            "got the grades [4, 1]; list grades (and their names) in ascending order",
        ),
        (
            ({4: "a", 1: "b"},),
            "got the grades [4, 1]; list grades (and their names) in ascending order",
        ),
        ((["a", "b"], [1]), "got 1 grades for 2 class names; give one grade per name"),
        ((["a", "b"], 3), "got 3 for its label values; pass one integer per class"),
        ((["a", "b"], [1, 1]), "give every class a value of its own"),
        ((["a", "b"], [0.5, 1]), "got 0.5 as the label value"),
        (({0: "a", 1: "b"}, [0, 1]), "got grades twice"),
    ],
)
def test_grades_that_are_no_scale_are_refused(arguments, message):
    with refused(message):
        Ordinal(*arguments)


def test_the_keys_of_a_multi_label_mapping_are_columns():
    assert MultiLabel({0: "x", 1: "y"}) == MultiLabel(["x", "y"])
    for classes in ({1: "x", 0: "y"}, {0: "x", 2: "y"}):
        with refused(
            "the keys of a mapping are the columns of the label array, 0..1 in this order"
        ):
            MultiLabel(classes)
    with refused("MultiLabel got 0 class name(s), []; give at least 1"):
        MultiLabel([])


@pytest.mark.parametrize(
    ("missing", "normal"),
    [
        ((), ()),
        ([], ()),
        (-1, (-1,)),
        (np.int64(-1), (-1,)),
        (-1.0, (-1,)),
        ("?", ("?",)),
        (float("nan"), ("nan",)),
        (np.float32("nan"), ("nan",)),
        ("NaN", ("nan",)),
        ([None], ("nan",)),
        ({"?", -1, float("nan"), 99}, (-1, 99, "?", "nan")),
        (np.array([-1, 99]), (-1, 99)),
    ],
)
def test_declared_unknowns_are_normalised(missing, normal):
    for target in (Binary(missing=missing), MultiLabel(["x"], missing=missing)):
        assert target.missing == normal


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (None, "got missing=None, which may mean NaN or nothing"),
        (1.5, "got missing=1.5; declare integers, strings or float('nan')"),
        (float("inf"), "got missing=inf"),
        (True, "got missing=True"),
        (10**30, "got missing=1000"),
        (object, "for missing; pass integers"),
        ([[0]], "got missing=[0]"),
        (0, "got missing=['0'], which are also classes"),
        ([-1, "b"], "got missing=['b'], which are also classes"),
    ],
)
def test_unknowns_that_cannot_be_told_from_classes_are_refused(missing, message):
    with refused(message):
        MultiClass(["a", "b"], missing=missing)


def test_a_class_may_be_called_nan_but_not_beside_declared_nan():
    assert MultiClass(["nan", "b"]).classes == ("nan", "b")
    with refused("which are also classes"):
        MultiClass(["nan", "b"], missing=float("nan"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: MultiClass(["a", "b"], loss="focal"),
            "MultiClass has no loss 'focal'; choose one of ['cross_entropy']",
        ),
        (
            lambda: Binary(loss=["focal"]),
            "Binary has no loss ['focal']; choose one of ['cross_entropy', 'focal']",
        ),
        (
            lambda: Ordinal(["a", "b"], loss=torch.nn.functional.mse_loss),
            "Ordinal has no loss <function",
        ),
        (lambda: Binary(mising=-1), "Binary got the unknown options ['mising']"),
        (
            lambda: Binary(mising=-1),
            "its loss 'cross_entropy' takes ['class_weights', 'smoothing']",
        ),
        (lambda: Ordinal(["a", "b"], loss="coral", tau=1), "its loss 'coral' takes no options"),
        (lambda: Binary(class_weights=[1.0]), "class_weights has shape (1,), expected (2,)"),
        (lambda: Binary(class_weights=[1.0, -1.0]), "class_weights is (1.0, -1.0)"),
        (lambda: Binary(class_weights="ab"), "class_weights is 'ab'"),
        (lambda: Binary(class_weights={"negative": 1.0, "positive": 2.0}), "class_weights is {"),
        (lambda: Binary(class_weights=[10**400, 1]), "int too large"),
        (
            lambda: MultiClass(["a", "b", "c"], class_weights=[1, 1, float("nan")]),
            "give one finite weight >= 0 per class",
        ),
        (
            lambda: MultiLabel(["x", "y"], class_weights=[1.0, 2.0]),
            "expected (2, 2); give one pair (negative, positive)",
        ),
        (lambda: Ordinal(["a", "b"], class_weights=torch.ones(3)), "expected (2,)"),
        (lambda: Binary(smoothing=1.0), "expected 0 <= smoothing < 1"),
        (lambda: Binary(smoothing=float("nan")), "expected 0 <= smoothing < 1"),
        (
            lambda: Binary(smoothing="some"),
            "Binary cannot use the loss 'cross_entropy' with {'smoothing': 'some'}",
        ),
        (lambda: Binary(loss="focal", gamma=-1.0), "expected a finite gamma >= 0"),
        (
            lambda: MultiLabel(["x"], loss="focal", alpha=2.0),
            "expected the weight of the positive class in [0, 1]",
        ),
        (lambda: Ordinal(["a", "b"], loss="soft_labels", tau=0.0), "expected a finite tau > 0"),
        (lambda: Binary().with_loss("focal", gamma=-1.0), "expected a finite gamma >= 0"),
        (lambda: Binary().with_loss("coral"), "Binary has no loss 'coral'"),
    ],
)
def test_a_loss_that_cannot_run_is_refused_when_the_target_is_made(make, message):
    with refused(message):
        make()


def test_options_are_kept_as_plain_numbers():
    given = [
        [1.0, 2.0],
        (1.0, 2.0),
        np.array([1.0, 2.0]),
        torch.tensor([1.0, 2.0], requires_grad=True),
    ]
    targets = {Binary(class_weights=weights) for weights in given}
    assert len(targets) == 1
    assert dict(targets.pop().loss_options) == {"class_weights": (1.0, 2.0)}


def test_a_target_is_made_under_any_default_dtype_or_device():
    plain = Ordinal(["a", "b", "c"], class_weights=[1.0, 2.0, 3.0])
    with torch.device("meta"):
        assert Ordinal(["a", "b", "c"], class_weights=[1.0, 2.0, 3.0]) == plain
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert Ordinal(["a", "b", "c"], class_weights=[1.0, 2.0, 3.0]) == plain
        assert plain.regression_targets(torch.tensor([0])).dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


def test_making_a_target_moves_no_global_generator():
    before = torch.get_rng_state()
    Ordinal(["a", "b", "c"], loss="corn").restrict([0, 2])
    assert torch.equal(before, torch.get_rng_state())


def test_restricting_keeps_names_order_and_grades():
    ordinal = Ordinal(
        {0: "none", 1: "some", 4: "much", 6: "most"}, missing=-9, loss="soft_labels", tau=2.0
    )
    kept = ordinal.restrict(["most", 0, "much"])
    assert kept == Ordinal(
        {0: "none", 4: "much", 6: "most"}, missing=-9, loss="soft_labels", tau=2.0
    )
    assert MultiClass({9: "a", 3: "b", 5: "c"}).restrict([2, 0]) == MultiClass({9: "a", 5: "c"})
    assert MultiLabel(["x", "y", "z"]).restrict({"z"}) == MultiLabel(["z"])
    assert ordinal.restrict(range(4)) is ordinal
    assert (
        ordinal.restrict(torch.tensor([0, 2]))
        == ordinal.restrict(np.array([2, 0]))
        == ordinal.restrict(iter([0, 2]))
    )


def test_restricting_cuts_class_weights():
    single = MultiClass(["a", "b", "c"], class_weights=[1.0, 2.0, 3.0], smoothing=0.1)
    assert single.restrict([0, 2]) == MultiClass(
        {0: "a", 2: "c"}, class_weights=[1.0, 3.0], smoothing=0.1
    )
    multi = MultiLabel(["x", "y", "z"], class_weights=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert multi.restrict(["y"]) == MultiLabel(["y"], class_weights=[[3.0, 4.0]])
    unweighted = MultiClass(["a", "b", "c"], class_weights=None)
    assert unweighted.restrict([0, 1]) == MultiClass(["a", "b"], class_weights=None)


@pytest.mark.parametrize(
    ("target", "classes", "message"),
    [
        (
            MultiClass(["a", "b", "c"]),
            ["a"],
            "cannot be restricted to 1 of its classes; keep 2 to 3",
        ),
        (MultiClass(["a", "b", "c"]), [], "cannot be restricted to 0 of its classes"),
        (Ordinal(["a", "b", "c"]), "b", "cannot be restricted to 1 of its classes; keep 2 to 3"),
        (Binary(), [1], "keep 2 to 2"),
        (MultiLabel(["x", "y"]), [], "keep 1 to 2"),
        (
            MultiClass(["a", "b", "c"]),
            ["a", "d"],
            "'d' is not a class of MultiClass(['a', 'b', 'c'])",
        ),
        (MultiClass(["a", "b", "c"]), [0, 3], "3 is not a class"),
        (MultiClass(["a", "b", "c"]), [0, -1], "-1 is not a class"),
        (MultiClass(["a", "b", "c"]), [0.0, 1.0], "0.0 is not a class"),
        (MultiClass(["a", "b", "c"]), [True, False], "True is not a class"),
        (
            MultiClass(["a", "b", "c"]),
            ["a", 0],
            "['a', 0] name a class of MultiClass(['a', 'b', 'c']) twice",
        ),
        (MultiClass({5: "a", 7: "b", 9: "c"}), [5, 7], "give names or positions 0..2"),
    ],
)
def test_subsets_that_are_none_are_refused(target, classes, message):
    with refused(message):
        target.restrict(classes)


def test_ways_say_how_many_classes_an_episode_may_have():
    assert Binary().ways == (2, 2)
    assert MultiClass(["a", "b", "c"]).ways == (2, 3)
    assert Ordinal(["a", "b", "c"]).ways == (2, 3)
    assert MultiLabel(["x", "y", "z"]).ways == (1, 3)


def test_errors_about_targets_are_input_errors():
    assert issubclass(TargetError, InputError)
    assert issubclass(TargetError, ValueError)
