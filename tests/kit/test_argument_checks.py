"""What arguments are refused, and the texts of the errors."""

import math

import numpy as np
import pytest

from torchcross._kit.argument_checks import (
    as_int,
    check_choice,
    checked_int,
    checked_number,
    checked_text,
    is_integer,
    is_number,
)
from torchcross.errors import InputError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_an_integer_of_any_kind_becomes_an_int(value):
    assert (type(as_int("n", value)), as_int("n", value)) == (int, 3)


@pytest.mark.parametrize("value", [True, np.True_, 3.0, "3", None, 0, np.int64(-1)])
def test_what_is_no_integer_of_at_least_one_is_refused(value):
    with pytest.raises(InputError, match=r"^n=.* is not an integer of at least 1$"):
        as_int("n", value)


@pytest.mark.parametrize("value", [np.int64(3), False, 2, 8, 3.0])
def test_an_int_of_python_within_limits(value):
    assert [checked_int("n", number, 3, 7) for number in (3, 7)] == [3, 7]
    with pytest.raises(InputError, match="is not an integer from 3 to 7"):
        checked_int("n", value, 3, 7)


def test_a_huge_integer_is_described():
    with pytest.raises(InputError, match="n=<an integer of 50001 bits> is not an integer from"):
        checked_int("n", 1 << 50000, most=9)


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, True, "1", None])
def test_a_number_above_zero(value):
    assert checked_number("lr", 1, above=0) == 1.0
    with pytest.raises(InputError, match="is not a finite number above 0"):
        checked_number("lr", value, above=0)
    if value == 0 and not isinstance(value, bool):
        assert checked_number("lr", value, least=0) == 0.0


def test_choices_are_strict_about_their_kind():
    for value in (None, 1, 3):
        check_choice("channels", value, (None, 1, 3))
    for value in (True, 1.0, "1", 2, [1]):
        with pytest.raises(InputError, match=r"channels=.* is not one of None, 1, 3"):
            check_choice("channels", value, (None, 1, 3))
    with pytest.raises(InputError):
        check_choice("inside", 1, (True, False))


def test_texts_and_numbers():
    assert checked_text("name", "x") == "x"
    for value in ("", None, 3):
        with pytest.raises(InputError, match="is not a text"):
            checked_text("name", value)
    assert [is_number(value) for value in (1, 1.5, np.float32(1), np.int8(1), True, "1")] == (
        [True] * 4 + [False] * 2
    )
    assert not is_integer(True)
