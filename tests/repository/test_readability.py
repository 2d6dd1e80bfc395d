"""What is measured of the product's readability, on sources whose figures can be counted by eye."""

from __future__ import annotations

import json

import pytest

from tests.repository.readability import Length, comment_line_count, main, measures, table, together
from tests.repository.sources import PACKAGES, ROOT, Source, source_files
from tests.repository.words import is_bare_participle, is_one_word

TEXT = '''\
"""A docstring is no statement."""

# A comment of its own.
import os


class Rows:
    """Nor is this one."""

    def taken(self, found):
        given = (1 if found else 2) + (3 if self else 4)  # a comment beside code
        return [x for x in given] if given else ()

    def __len__(self):
        return 1 if (2 if 3 else 4) else 5


class Rows:
    def _read_rows(self):
        def told(): ...

        return lambda found: found
'''


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        *(("told", True), ("_taken", True), ("merged", True), ("Built", True), ("__left", True)),
        *(("read", False), ("seed", False), ("embed", False), ("is_sorted", False), ("bed", False)),
        *(("split", False), ("checked_batch", False), ("_run", False), ("adapt", False)),
    ],
)
def test_bare_participles(name: str, counted: bool) -> None:
    assert is_bare_participle(name) is counted


def test_one_word() -> None:
    assert is_one_word("_adapt")
    assert not is_one_word("read_rows")


def test_every_figure_of_a_small_file() -> None:
    file = measures(Source("torchcross/rows.py", TEXT))
    assert (file.files, file.lines, file.code_lines, file.comment_lines) == (1, 22, 14, 1)
    assert file.code_characters == sum(map(len, TEXT.splitlines()))
    assert file.statements == 12
    assert (file.functions, file.one_word_functions) == (3, 2)
    assert file.participles == {"taken": 1, "told": 1}
    assert (file.conditionals, file.nested_conditionals) == (5, 1)
    assert file.statements_with_two_conditionals == 2
    assert file.comprehensions == 1
    assert file.locals_by_origin == {"found": 2, "given": 1}
    assert file.repeated_classes == ["Rows"]
    assert file.longest_function == Length(4, "_read_rows in torchcross/rows.py")


def test_a_comment_in_a_string_is_none() -> None:
    text = 'x = """\n# no comment\n"""\n# a comment\ny = (1,  # no line of its own\n    # one\n)\n'
    assert comment_line_count(Source("torchcross/a.py", text)) == 2


def test_files_are_added_up() -> None:
    first = Source("torchcross/a.py", "class A: ...\nclass _B: ...\n")
    second = Source("medimeta_adapter/b.py", "class A:\n    def f(self): ...\n\nclass _B: ...\n")
    both = together([measures(first), measures(second)])
    assert (both.files, both.statements, both.functions) == (2, 9, 1)
    assert both.repeated_classes == ["A", "_B"]
    assert both.longest_file == Length(4, "medimeta_adapter/b.py")
    assert ("public ones among them", "1") in both.rows()
    assert all(line.startswith("| ") for line in table({"both": both}).splitlines())


def test_nothing_can_be_measured() -> None:
    assert len(together([]).rows()) == len(together([measures(Source("a.py", ""))]).rows())


def test_the_product_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main([str(ROOT), "--json"])
    columns = json.loads(capsys.readouterr().out)
    assert list(columns) == [*PACKAGES, "both"]
    assert columns["both"]["files"] == len(source_files())
    assert columns["both"]["statements"] > 10_000
