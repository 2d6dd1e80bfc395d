"""Measures how readable the product is, on any checkout:

python -m tests.repository.readability [ROOT] [--json]

What is counted, for each package and for both together:

- function names: every `def` but the `__dunder__` ones, methods, properties and inner functions
  included. One word: without an underscore, leading and trailing ones aside. Bare participle: see
  `tests/repository/words.py`.
- code lines: lines that are not blank; docstrings and comments are among them. Conditional
  expressions (`a if b else c`) and comprehensions (generator expressions too) stand per 1,000 of
  these, and the mean length is the mean over these. It includes the indentation.
- nested conditional expressions: those that hold another one, at any depth. Statements with two:
  those with more than one in their own expressions; for `if`, `for`, `with`, `def` and `class` the
  header counts alone.
- comment lines: lines with nothing but a comment, as a share of all lines.
- locals by origin: functions with a parameter or local name `found`, `told` or `given`. Inner
  functions count for themselves.
- class names that stand for several classes: class statements with one name, in different places.
- statements: every `ast.stmt` node but the docstrings. Lines: physical ones. Longest function: from
  `def` to its end.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from tests.repository.sources import (
    PACKAGES,
    ROOT,
    FunctionNode,
    Source,
    docstring,
    is_dunder,
    local_names,
    own_nodes,
    source_files,
)
from tests.repository.words import is_bare_participle, is_one_word

ORIGINS = ("found", "told", "given")
COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True, order=True)
class Length:
    """How many lines the thing called `name` has."""

    lines: int
    name: str


@dataclass(frozen=True)
class Measures:
    """What one file has, or what several have together: one column of the table."""

    files: int = 0
    lines: int = 0
    code_lines: int = 0
    code_characters: int = 0
    comment_lines: int = 0
    statements: int = 0
    functions: int = 0
    participles: Counter[str] = field(default_factory=Counter)
    one_word_functions: int = 0
    conditionals: int = 0
    nested_conditionals: int = 0
    statements_with_two_conditionals: int = 0
    comprehensions: int = 0
    locals_by_origin: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    longest_function: Length = Length(0, "none")
    longest_file: Length = Length(0, "none")

    @property
    def repeated_classes(self) -> list[str]:
        return [name for name, count in self.classes.most_common() if count > 1]

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of the table: what is measured, and the figure."""
        participles = self.participles.total()
        public = [name for name in self.repeated_classes if not name.startswith("_")]
        origins = [
            (f"functions with a local or parameter `{name}`", str(self.locals_by_origin[name]))
            for name in ORIGINS
        ]
        mean_length = self.code_characters / max(1, self.code_lines)
        return [
            ("function names that are one bare participle", share(participles, self.functions)),
            ("function names of one word", share(self.one_word_functions, self.functions)),
            ("conditional expressions per 1,000 code lines", self._per_thousand(self.conditionals)),
            ("nested conditional expressions", str(self.nested_conditionals)),
            (
                "statements with two conditional expressions or more",
                str(self.statements_with_two_conditionals),
            ),
            ("comprehensions per 1,000 code lines", self._per_thousand(self.comprehensions)),
            ("mean length of a code line", f"{mean_length:.1f}"),
            ("comment lines", share(self.comment_lines, self.lines)),
            *origins,
            ("class names that stand for several classes", str(len(self.repeated_classes))),
            ("public ones among them", str(len(public))),
            ("AST statements", f"{self.statements:,}"),
            ("lines", f"{self.lines:,}"),
            ("files", str(self.files)),
            ("lines of the longest function", str(self.longest_function.lines)),
            ("lines of the longest file", str(self.longest_file.lines)),
        ]

    def _per_thousand(self, count: int) -> str:
        return f"{1000 * count / max(1, self.code_lines):.1f}"


@cache
def measures(source: Source) -> Measures:
    """Return what one file has."""
    functions = [node for node in source.nodes if isinstance(node, FunctionNode)]
    names = [function.name for function in functions if not is_dunder(function.name)]
    lines = source.text.splitlines()
    code = [line for line in lines if line.strip()]
    conditionals = conditionals_by_statement(source)
    every = [conditional for group in conditionals for conditional in group]
    classes = Counter(node.name for node in source.nodes if isinstance(node, ast.ClassDef))
    return Measures(
        files=1,
        lines=len(lines),
        code_lines=len(code),
        code_characters=sum(map(len, code)),
        comment_lines=comment_line_count(source),
        statements=statement_count(source),
        functions=len(names),
        participles=Counter(filter(is_bare_participle, names)),
        one_word_functions=sum(map(is_one_word, names)),
        conditionals=len(every),
        nested_conditionals=sum(map(holds_conditional, every)),
        statements_with_two_conditionals=sum(len(group) > 1 for group in conditionals),
        comprehensions=sum(isinstance(node, COMPREHENSIONS) for node in source.nodes),
        locals_by_origin=origin_counts(source),
        classes=classes,
        longest_function=max((_length(node, source) for node in functions), default=Length(0, "")),
        longest_file=Length(len(lines), source.name),
    )


def together(parts: Sequence[Measures]) -> Measures:
    """Return the sums of the counts, and the greatest of the lengths."""
    figures: dict[str, Any] = {}
    for item in fields(Measures):
        values = [getattr(part, item.name) for part in [Measures(), *parts]]
        combine = max if isinstance(values[0], Length) else _sum
        figures[item.name] = combine(values)
    return Measures(**figures)


def statement_count(source: Source) -> int:
    return len(source.statements) - sum(docstring(node) is not None for node in source.nodes)


@cache
def conditionals_by_statement(source: Source) -> list[list[ast.IfExp]]:
    """Return the conditional expressions of every statement that has one."""
    groups = []
    for statement in source.statements:
        conditionals = [node for node in own_nodes(statement) if isinstance(node, ast.IfExp)]
        if conditionals:
            groups.append(conditionals)
    return groups


def holds_conditional(conditional: ast.IfExp) -> bool:
    return sum(isinstance(node, ast.IfExp) for node in ast.walk(conditional)) > 1


def comment_line_count(source: Source) -> int:
    """Return how many lines are comments alone; a line inside a string is none."""
    inside_strings: set[int] = set()
    for node in source.nodes:
        if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno != node.lineno:
            inside_strings.update(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.text.splitlines(), start=1)
    return sum(line.lstrip().startswith("#") and n not in inside_strings for n, line in lines)


def origin_counts(source: Source) -> Counter[str]:
    """Return for each name of `ORIGINS` how many functions bind it."""
    counts: Counter[str] = Counter()
    for node in source.nodes:
        if isinstance(node, FunctionNode | ast.Lambda):
            counts.update(local_names(node) & set(ORIGINS))
    return counts


def share(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.1f} %"


def table(columns: Mapping[str, Measures]) -> str:
    """Return a Markdown table with one column for each package."""
    rows = [["", *columns]]
    labels = [label for label, _ in Measures().rows()]
    figures = [[figure for _, figure in column.rows()] for column in columns.values()]
    rows += map(list, zip(labels, *figures, strict=True))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for first, *rest in [rows[0], rule, *rows[1:]]:
        right = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("| " + " | ".join([first.ljust(widths[0]), *right]) + " |\n")
    return "".join(lines)


def details(columns: Mapping[str, Measures]) -> str:
    """Return the names behind the figures of the last column, and the longest of every column."""
    last = list(columns.values())[-1]
    repeated = [f"{name} {last.classes[name]}" for name in last.repeated_classes]
    participles = [f"{name} {count}" for name, count in last.participles.most_common()]
    longest = [column.longest_function.name for column in columns.values()]
    files = [column.longest_file.name for column in columns.values()]
    return (
        f"\nLongest functions: {', '.join(dict.fromkeys(longest))}\n"
        f"Longest files: {', '.join(dict.fromkeys(files))}\n"
        f"Repeated class names: {', '.join(repeated) or 'none'}\n"
        f"Bare participles: {', '.join(participles) or 'none'}\n"
    )


def _sum(values: Sequence[Any]) -> Any:
    return sum(values[1:], values[0])


def _length(function: FunctionNode, source: Source) -> Length:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    return Length(lines, f"{function.name} in {source.name}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.repository.readability",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="a checkout; this one")
    parser.add_argument("--json", action="store_true", help="the counts, as JSON")
    options = parser.parse_args(arguments)
    sources = source_files(options.root)
    if not sources:
        parser.error(f"{options.root} has no Python files of {' or '.join(PACKAGES)}")
    columns = {
        package: together([measures(source) for source in sources if source.package == package])
        for package in PACKAGES
    }
    columns["both"] = together(list(columns.values()))
    if options.json:
        print(json.dumps(columns, default=vars, indent=2))
    else:
        print(table(columns) + details(columns), end="")


if __name__ == "__main__":
    main()
