"""docs/internals.md names doors that are there: functions, classes and methods in their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository.doors import broken_doors, doors, section_count
from tests.repository.sources import ROOT

PAGE = ROOT / "docs" / "internals.md"
FEWEST_SECTIONS = 5
FEWEST_DOORS = 30


def test_every_door_is_there() -> None:
    assert broken_doors(PAGE.read_text(encoding="utf-8"), ROOT) == []


def test_the_page_walks_through_its_calls() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert section_count(page) >= FEWEST_SECTIONS
    assert len(set(doors(page))) >= FEWEST_DOORS


CODE = """
def meta_loss(): ...
class MAML:
    rates = 1
    def adapt(self):
        def inner(): ...
    class Options:
        async def read(self): ...
"""


def doors_of_a_checkout(root: Path, page: str) -> list[str]:
    (root / "package").mkdir(exist_ok=True)
    (root / "package" / "maml.py").write_text(CODE)
    return broken_doors(page, root)


@pytest.mark.parametrize(
    "door",
    [
        "`meta_loss` (`package/maml.py`)",
        "`meta_loss()` (`package/maml.py`)",
        "`MAML`\n(`package/maml.py`)",
        "`MAML.adapt` (`package/maml.py`)",
        "`MAML.Options.read` (`package/maml.py`)",
        "see `package/maml.py`; `gone` is no door, nor is `gone` (`maml`)",
    ],
)
def test_a_door_that_is_there_passes(tmp_path: Path, door: str) -> None:
    assert doors_of_a_checkout(tmp_path, f"| {door} |") == []


@pytest.mark.parametrize(
    ("door", "said"),
    [
        ("`gone` (`package/maml.py`)", "package/maml.py defines no function, class or method gone"),
        ("`gone()`\n(`package/maml.py`)", "defines no"),
        ("`adapt` (`package/maml.py`)", "defines no"),
        ("`MAML.gone` (`package/maml.py`)", "defines no"),
        ("`inner` (`package/maml.py`)", "defines no"),
        ("`meta_loss` (`package/gone.py`)", "there is no file package/gone.py"),
        ("`meta_loss` (`gone.py`)", "there is no file gone.py"),
        ("see `package/gone.py`", "there is no file package/gone.py"),
    ],
)
def test_a_door_that_is_gone_is_caught(tmp_path: Path, door: str, said: str) -> None:
    (sentence,) = doors_of_a_checkout(tmp_path, f"| {door} |")
    assert said in sentence


def test_sections_and_doors_are_counted() -> None:
    page = "# Title\n\n## One\n\n`a` (`p/a.py`), `B.c`\n(`p/b.py`)\n\n### Inner\n\n## Two\n"
    assert section_count(page) == 2
    assert doors(page) == [("a", "p/a.py"), ("B.c", "p/b.py")]
