"""The site of the documentation: its pages, its reference, and docstrings as Markdown.

`make site` builds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.site.docstring_markdown import as_markdown
from docs.site.pages import folder_links_to_pages, folder_page, linked_files, page_paths
from docs.site.reference import reference_pages
from docs.site.uses import names_used
from tests.repository.public_surface import LISTINGS

ROOT = Path(__file__).parents[2]
NAV = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]


def paths_in(nav: Any) -> Iterator[str]:
    match nav:
        case str():
            yield nav
        case list():
            for item in nav:
                yield from paths_in(item)
        case dict():
            for item in nav.values():
                yield from paths_in(item)


def test_every_page_is_in_the_navigation_once() -> None:
    listed = sorted(path for path in paths_in(NAV) if not path.endswith("/"))
    assert listed == sorted(page_paths()), "list new pages in mkdocs.yml"


def test_the_reference_has_every_public_name() -> None:
    pages = reference_pages({"torchcross.task.Task": [("Targets", "docs/targets.md")]})
    text = "\n".join(page.text for page in pages)
    for listing in LISTINGS.values():
        for name in listing.read_text(encoding="utf-8").split():
            room, _, last = name.rpartition(".")
            page = next(page.text for page in pages if page.path == f"reference/{room}.md")
            shown = re.search(rf"^::: {re.escape(room)}\.(?:\w+\.)*{last}$", page, re.MULTILINE)
            assert shown or f"- [`{last}`][" in page, name
    shown = [line for line in text.splitlines() if line.startswith("::: ")]
    assert len(shown) == len(set(shown)), "each name is shown in full once"
    assert "Used in: [Targets](../docs/targets.md)" in text


def test_a_list_of_options_becomes_a_definition_list() -> None:
    docstring = (
        "Plans of episodes.\n\nways, shots  a number, or a pair\n             of bounds\n"
        'order="drop"  left out\na long one, of words\n             beside it\n\nThe rest.\n'
        "On two lines."
    )
    assert as_markdown(docstring) == (
        "Plans of episodes.\n\n`ways`, `shots`\n:   a number, or a pair\n    of bounds\n\n"
        '`order="drop"`\n:   left out\n\na long one, of words\n:   beside it\n\nThe rest.\n'
        "On two lines."
    )


@pytest.mark.parametrize(
    ("docstring", "markdown"),
    [
        ("a = f(b)\nc = g(a)", "```python\na = f(b)\nc = g(a)\n```"),
        (">>> 1 + 1\n2", "```pycon\n>>> 1 + 1\n2\n```"),
        ("Two  spaces in a sentence\nthat goes on.", "Two  spaces in a sentence\nthat goes on."),
        ("    indented  code\n    more", "    indented  code\n    more"),
        ("", ""),
        ('names ("layer4.*", "head.*")', r'names ("layer4.\*", "head.\*")'),
        ("the *remaining* ones, `a * b`, 2 * 3", r"the *remaining* ones, `a * b`, 2 \* 3"),
    ],
)
def test_other_paragraphs(docstring: str, markdown: str) -> None:
    assert as_markdown(docstring) == markdown


def test_names_used() -> None:
    code = (
        "import torchcross as tx\nimport torchcross.data\nimport numpy as np\n"
        "from torchcross.targets import Binary as B\nx = tx.Task('a', B())\n"
        "torchcross.data.toys.binary()\nnp.zeros(3)\n"
    )
    assert {
        "torchcross.Task",
        "torchcross.targets.Binary",
        "torchcross.data.toys.binary",
    } <= names_used(code)
    assert not any(name.startswith("numpy") for name in names_used(code))


def test_folders_and_files_that_pages_link_to(tmp_path: Path) -> None:
    (tmp_path / "docs" / "data").mkdir(parents=True)
    (tmp_path / "docs" / "data" / "a.csv").write_text("1\n")
    text = "[x](data) [y](data/a.csv) [z](other.md) [w](https://example.org/a)\n"
    (tmp_path / "docs" / "page.md").write_text(text)
    assert linked_files("docs/page.md", tmp_path) == ({"docs/data/a.csv"}, {"docs/data"})
    assert "[x](data/README.md) [y](data/a.csv)" in folder_links_to_pages(
        text, "docs/page.md", tmp_path
    )
    assert folder_page("docs/data", tmp_path) == (
        "# docs/data\n\n- [a.csv](a.csv)\n",
        ["docs/data/a.csv"],
    )
