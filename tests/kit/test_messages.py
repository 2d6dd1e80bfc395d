"""Messages from names and values of any kind: no control characters, and no endless text."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchcross import errors
from torchcross._kit.argument_checks import as_text, check_choice, repeated_names
from torchcross.errors import InputError, TorchcrossError, TorchcrossWarning, UnscaledDepthError
from torchcross.messages import printable, without_middle

CLASSES = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, TorchcrossError | TorchcrossWarning)
]


@pytest.mark.long
@given(st.text())
def test_printable_text_can_be_written_and_moves_no_cursor(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert not any(sign < " " and sign not in "\t\n" for sign in shown)
    assert not set(shown) & set("\x7f\x85\x9b\u2028\u202e\u2066")
    assert printable(shown) == shown


def test_control_characters_become_escapes_and_other_text_stays() -> None:
    assert printable("\x1b[2Jeyes\x07\x9b1m\u202e\udcff") == (
        "\\x1b[2Jeyes\\x07\\x9b1m\\u202e\\udcff"
    )
    for text in ("line\n  two\tthree", "Füße, 眼, ± †", ""):
        assert printable(text) == text


def test_a_long_text_loses_its_middle() -> None:
    text = "a" * 3000 + "b" * 64_000 + "c" * 3000
    shown = without_middle(text)
    assert len(shown) <= 4000
    assert shown.startswith("aaa")
    assert shown.endswith("ccc")
    assert "66,040 characters" in shown
    assert without_middle(text[:4000]) == text[:4000]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_and_warning_has_such_a_message(kind: type[Exception]) -> None:
    error = kind(f"the name \x1b[31m{'x' * 70_000} is wrong; give another one")
    message = str(error)
    assert len(message) <= 4000
    assert message.startswith("the name \\x1b[31mxxx")
    assert message.endswith("give another one")
    assert str(pickle.loads(pickle.dumps(error))) == message


def test_the_range_of_an_image_survives_the_trip_out_of_a_process() -> None:
    error = UnscaledDepthError("an image has more than 8 bits", (0, 4095))
    assert pickle.loads(pickle.dumps(error)).values == (0, 4095)


def test_long_values_are_shortened_in_messages() -> None:
    assert as_text("short") == "'short'"
    assert len(as_text("x" * 70_000)) <= 200
    with pytest.raises(InputError) as caught:
        check_choice("fit", "x" * 70_000, ("crop", "pad"))
    assert len(str(caught.value)) < 300


def test_names_that_repeat() -> None:
    assert repeated_names(["b", "a", "b", "c", "a", "b"]) == ["a", "b"]
    assert repeated_names([]) == []
