"""Names in a sentence: one, two, several, and more than a reader wants to see."""

from __future__ import annotations

import pytest

from torchcross._kit.listed_names import first_names, listed_names


@pytest.mark.parametrize(("names", "text"), [("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")])
def test_the_last_name_has_a_word_before_it(names: str, text: str) -> None:
    assert listed_names(names) == text
    assert listed_names(iter(names), "or") == text.replace("and", "or")


def test_the_first_names_stand_for_many() -> None:
    assert first_names(list("abc"), 3) == "a, b and c"
    assert first_names(list("abcd"), 3) == "a, b, c and 1 more"
    assert first_names(list("abcdefg")) == "a, b, c, d, e, f and 1 more"
    assert first_names(("a",)) == "a"
