"""Units are checked before anything runs."""

import re

import pytest

from torchcross.errors import InputError
from torchcross.jobs import Resources, Unit, UnitGraph


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Unit("a/b", ("a",)), "'a/b' is no key of a unit"),
        (lambda: Unit("", ("a",)), "'' is no key of a unit"),
        (lambda: Unit("a.0", ("a",)), "'a.0' is no key of a unit"),
        (lambda: Unit("x" * 181, ("a",)), "is no key of a unit"),
        (lambda: Unit("a", ()), "unit 'a' has no results"),
        (lambda: Unit("a", ("../b",)), "unit 'a' cannot write '../b'"),
        (lambda: Unit("a", ("/b",)), "unit 'a' cannot write '/b'"),
        (lambda: Unit("a", ("jobs/b",)), "outside of 'jobs'"),
        (lambda: Resources(cores=0), "give 1 core or more"),
        (lambda: Resources(memory=-1), "no negative memory"),
        (lambda: Resources(gpus=1.5), "give a share of one device (0.5), or whole devices (2)"),
        (lambda: UnitGraph.of([Unit("a", ("a",)), Unit("a", ("b",))]), "two units have the key"),
        (
            lambda: UnitGraph.of([Unit("a", ("x",)), Unit("b", ("x",))]),
            "units 'a' and 'b' both write 'x'",
        ),
        (lambda: UnitGraph.of([Unit("a", ("a",), needs=("b",))]), "'a' needs 'b', which is no"),
        (
            lambda: UnitGraph.of(
                [Unit("a", ("a",), ("b",)), Unit("b", ("b",), ("a",)), Unit("c", ("c",))]
            ),
            "in a circle, so that none can begin; ['a', 'b']",
        ),
    ],
)
def test_units_that_cannot_be_made_are_refused(make, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make()


def test_a_need_that_is_named_twice_is_one():
    graph = UnitGraph.of([Unit("a", ("a",)), Unit("b", ("b",), needs=("a", "a"))])
    assert set(graph.needed_by["a"]) == {"b"}
