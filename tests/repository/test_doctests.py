"""Examples in docstrings are run, and no new public class or function is without one."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import torchcross as tx
from docs.site.uses import has_example, name_of, names_without_example
from tests.repository.sources import source_files

WITHOUT_EXAMPLE = Path(__file__).with_name("without_example.txt")
NAMES = {"np": np, "torch": torch, "tx": tx}
MODULES = [
    source.module
    for source in source_files()
    if ">>> " in source.text and not source.name.endswith("/__main__.py")
]


def examples(module: str) -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for test in finder.find(importlib.import_module(module), module, globs={}):
        if test.examples:
            test.globs = dict(NAMES)
            yield test


@pytest.mark.long
@pytest.mark.parametrize("module", MODULES)
def test_examples_of_docstrings(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    with torch.random.fork_rng(devices=[]):
        for test in examples(module):
            runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_a_wrong_example_is_caught() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None).failed == 1


@pytest.mark.long
def test_names_without_an_example_become_fewer() -> None:
    """A new public name has an example; a name that has got one leaves the list."""
    recorded = WITHOUT_EXAMPLE.read_text(encoding="utf-8").split()
    without = names_without_example()
    assert sorted(set(without) - set(recorded)) == [], "give these an example"
    assert sorted(set(recorded) - set(without)) == [], f"take these out of {WITHOUT_EXAMPLE.name}"


def test_what_counts_as_an_example() -> None:
    def shown() -> None:
        """A summary.

        >>> 1 + 1
        2
        """

    def skipped() -> None:
        """>>> 1 + 1  # doctest: +SKIP"""

    assert has_example(shown)
    assert not has_example(skipped)
    assert name_of(shown).endswith(".shown")
    assert name_of(3) == ""
