"""What the tests of the repository share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.extending.plugin_file import registries
from tests.repository.readability import conditionals_by_statement
from tests.repository.sources import forget_trees

__all__ = ["registries", "trees_of_one_module"]


@pytest.fixture(scope="module", autouse=True)
def trees_of_one_module() -> Iterator[None]:
    """Let go of the syntax trees after each file of tests.

    They are a third of a million objects, which every later garbage collection would walk.
    """
    yield
    forget_trees()
    conditionals_by_statement.cache_clear()
