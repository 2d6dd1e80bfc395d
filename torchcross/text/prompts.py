"""Prompts: what a text tower reads for each class of a task."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Final

from torchcross._kit.suggestions import suggest, unknown_name
from torchcross._kit.user_files import read_user_text
from torchcross.errors import InputError, ReadError
from torchcross.task import Task

FIELDS: Final = ("class_name", "task_name", "dataset_name", "domain_identifier")
DEFAULT_TEMPLATES: Final = ("A {domain_identifier} image where the {task_name} is {class_name}",)
NOTHING: Final = "nothing"

ClassPrompts = Mapping[str | None, tuple[str, ...]]
"""The prompts of each class; those under None are for images that have no label."""


@dataclass(frozen=True)
class PromptTable:
    """Prompts of one's own: a column for each class, a row for each set of prompts.

    `source` names the file in errors.
    """

    columns: Mapping[str, tuple[str, ...]]
    source: str = "the table of prompts"

    @classmethod
    def read(cls, path: str | Path) -> PromptTable:
        """A CSV file in UTF-8, with or without a byte-order mark; its first line names classes."""
        path = Path(path)
        text = read_user_text(path)
        try:
            lines = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        except csv.Error as error:
            raise ReadError(f"{path} is no CSV file: {error}") from error
        return cls.of_rows(lines, str(path))

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[str]], source: str) -> PromptTable:
        """From a header and its rows."""
        if len(rows) < 2:
            raise InputError(f"{source} has no prompts; give a line of class names, and one below")
        names = [name.strip() for name in rows[0]]
        if len(set(names)) < len(names):
            raise InputError(f"{source} names a class twice: {names}; give each one column")
        for number, row in enumerate(rows[1:], start=1):
            if len(row) != len(names) or not all(cell.strip() for cell in row):
                raise InputError(
                    f"{source}: set of prompts {number} has {sum(map(bool, row))} prompts for"
                    f" {len(names)} classes; give one for each"
                )
        columns = zip(*(map(str.strip, row) for row in rows[1:]), strict=True)
        return cls(dict(zip(names, columns, strict=True)), source)

    def prompts(self, task: Task) -> ClassPrompts:
        """Those of a task. With labels that may all lack, a last column more is of no label."""
        classes, columns = task.classes, dict(self.columns)
        prompts: dict[str | None, tuple[str, ...]] = {}
        if None in task.target.prototype_names:
            last = next(reversed(columns))
            is_nothing = last not in classes
            prompts[None] = columns.pop(last) if is_nothing else (NOTHING,)
        for name in columns:
            if name not in classes:
                raise InputError(
                    f"{self.source} has prompts for {name!r}, which is no class of {task.name!r};"
                    f" {suggest(name, classes)}"
                )
        if missing := [name for name in classes if name not in columns]:
            raise InputError(
                f"{self.source} has no prompts for {', '.join(map(repr, missing))} of"
                f" {task.name!r}; add a column for each"
            )
        return prompts | {name: columns[name] for name in classes}


def class_prompts(
    task: Task,
    *,
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    table: PromptTable | None = None,
    dataset_name: str = "",
) -> ClassPrompts:
    """The prompts of each class of a task, from templates or from a table of one's own.

    A template is a text with the fields {class_name}, {task_name}, {dataset_name} and
    {domain_identifier}. The name of a task "oct/disease class" is "disease class", and unless
    `dataset_name` is given, that of its dataset is "oct".
    """
    if table is not None:
        return table.prompts(task)
    check_templates(templates)
    dataset, _, name = task.name.rpartition("/")
    fields = {
        "task_name": name,
        "dataset_name": dataset_name or dataset or name,
        "domain_identifier": task.domain,
    }
    texts = {name: NOTHING if name is None else name for name in task.target.prototype_names}
    return {
        name: tuple(template.format(class_name=text, **fields) for template in templates)
        for name, text in texts.items()
    }


def check_templates(templates: Sequence[str]) -> None:
    """Refuse templates with fields that there are not, or without the class."""
    if isinstance(templates, str) or not templates:
        raise InputError(f"templates are {templates!r}; give a list of texts with {{class_name}}")
    for template in templates:
        try:
            parts = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
        except ValueError as error:
            raise InputError(
                f"the template {template!r} cannot be read: {error}; write {{{{ for a brace"
            ) from error
        for field, form, conversion in parts:
            if field not in FIELDS:
                raise InputError(
                    f"the template {template!r}: {unknown_name('field', str(field), FIELDS)}"
                )
            if form or conversion:
                raise InputError(f"the template {template!r} formats {field}; leave that out")
        if "class_name" not in {field for field, *_ in parts}:
            raise InputError(
                f"the template {template!r} has no {{class_name}}: all classes would have one text"
            )
