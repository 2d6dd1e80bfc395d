"""All errors and warnings of the library stand in one module, and on the page of them."""

from __future__ import annotations

import re

import pytest

from tests.repository.error_classes import ERRORS, INTERNAL, errors_elsewhere
from tests.repository.sources import ROOT, Source, source_files
from torchcross import errors

PAGE = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
# The roots of the two trees stand in the text alone.
TABLES = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))


@pytest.mark.parametrize(
    "name",
    [name for name in errors.__all__ if name not in ("TorchcrossError", "TorchcrossWarning")],
)
def test_every_class_stands_in_a_table_of_the_page(name: str) -> None:
    assert f"`{name}`" in TABLES


def test_the_page_names_no_other_class() -> None:
    named = set(re.findall(r"`(\w+(?:Error|Warning))`", PAGE))
    builtin = {"ValueError", "RuntimeError", "ImportError"}
    assert named - builtin == set(errors.__all__)


def test_the_tree_of_the_module_has_every_class() -> None:
    assert set(errors.__all__) <= set(re.findall(r"\w+", errors.__doc__ or ""))


def test_errors_are_defined_in_their_module() -> None:
    assert list(map(str, errors_elsewhere(source_files()))) == []


def test_what_a_user_never_meets_is_there() -> None:
    text = "\n".join(source.text for source in source_files() if source.name != ERRORS)
    assert [name for name in INTERNAL if f"class {name}(" not in text] == []


@pytest.mark.parametrize(
    ("text", "is_caught"),
    [
        ("class DeepError(InputError): ...", True),
        ("class Deep(errors.ReadError): ...", True),
        ("class Stop(KeyboardInterrupt): ...", True),
        ("class Old(TorchcrossWarning): ...", True),
        ("class Base(ValueError): ...\nclass Deeper(Base): ...", True),
        ("class SplitError: ...", False),
        ("class WorkerEnded(RuntimeError): ...", False),
    ],
)
def test_an_error_elsewhere_is_caught(text: str, is_caught: bool) -> None:
    sources = [Source("torchcross/room.py", text)]
    sources += [source for source in source_files() if source.name == ERRORS]
    assert bool(list(errors_elsewhere(sources))) is is_caught
