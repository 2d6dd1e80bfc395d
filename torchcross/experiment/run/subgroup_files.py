"""Which subgroup each image of a target is in: files of a run, made from the data's annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from torchcross.errors import InputError, TorchcrossError
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.run.cells import RunContext
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.json_files import read_json, write_json
from torchcross.experiment.settings.subgroups import SubgroupColumn
from torchcross.statistics import Subgroups

_OF_TEST_SPLIT = "columns of the test split"
"""Of a run with `supervised` beside other rows: its images are those of another split."""

_ADVICE = "run the same again to make it again"


def update_subgroups(run: RunContext) -> None:
    """Write what `evaluation.subgroups` asks for where it is not there yet; say what is lacking.

    A column that a target does not have is no error: datasets have different columns.
    """
    settings = run.experiment.evaluation.subgroups
    lacking: dict[tuple[str, str], list[str]] = {}
    for target in run.targets if settings else ():
        path = run.folder.files.subgroups(target)
        content = _usable_content(run, path, settings)
        if content is None:
            content = _content(run, target, settings)
            write_json(path, content)
        for entry in content["columns"]:
            if "reason" in entry:
                lacking.setdefault((entry["setting"], entry["reason"]), []).append(target)
    for (text, reason), targets in lacking.items():
        run.say(f"note: no subgroups by {text!r} for {', '.join(targets)}: {reason}")


def _usable_content(run: RunContext, path: Path, settings: Sequence[str]) -> dict[str, Any] | None:
    """The content of a file that has these columns; None where it is to be made."""
    if not path.is_file():
        return None
    try:
        content = read_subgroup_file(path, hashed=run.folder.has_hashes)
    except TorchcrossError as error:
        run.say(f"damaged: {error}")
        return None
    return content if [each["setting"] for each in content["columns"]] == [*settings] else None


def _content(run: RunContext, target: str, settings: Sequence[str]) -> dict[str, Any]:
    kinds = {METHODS[name].supervised for name in run.experiment.algorithms}
    split: Literal["all", "test"] = "test" if kinds == {True} else "all"
    try:
        source = run.collection.target(target, split=split).name
    except (TorchcrossError, OSError):
        # Its cells have the error.
        source = target
    columns = _columns(run, target, settings, split)
    content = {"target": target, "source": source, "split": split, "columns": columns}
    if len(kinds) == 2:
        # Its images have other numbers there.
        content[_OF_TEST_SPLIT] = _columns(run, target, settings, "test")
    return content


def _columns(
    run: RunContext, target: str, settings: Sequence[str], split: str
) -> list[dict[str, Any]]:
    """The subgroup of each image of a split, by the columns that are asked for."""
    columns = []
    for text in settings:
        column = SubgroupColumn.parse(text)
        entry: dict[str, Any] = {"setting": text, "column": column.column}
        try:
            groups = column.groups(_annotation(run.collection, target, column.column, split))
        except (TorchcrossError, OSError) as error:
            entry["reason"] = str(error)
        else:
            entry |= {"names": list(groups.names), "codes": groups.codes.tolist()}
        columns.append(entry)
    return columns


def _annotation(collection: Any, target: str, column: str, split: str) -> Sequence[str]:
    """The column, of a collection that has annotations."""
    read = getattr(collection, "annotation", None)
    if read is None:
        raise InputError("this format of data has no annotations")
    texts: Sequence[str] = read(target, column, split=split)
    return texts


# -- reading ---------------------------------------------------------------------------------------


def read_subgroup_file(path: Path, *, hashed: bool) -> dict[str, Any]:
    """The content of a file of subgroups, with all fields as a run writes them."""
    content = read_json(path, hashed=hashed, advice=_ADVICE)
    columns = content.get("columns")
    more = content.get(_OF_TEST_SPLIT, [])
    is_whole = isinstance(content.get("source"), str) and isinstance(columns, list)
    is_whole = is_whole and isinstance(more, list)
    if not is_whole or not all(map(_is_entry, [*(columns or []), *more])):
        raise InputError(f"{path} is not as a run writes it; remove it, and {_ADVICE}")
    return content


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    texts = [entry.get("setting"), entry.get("column"), entry.get("reason", "")]
    if not all(isinstance(text, str) for text in texts):
        return False
    try:
        return "reason" in entry or bool(_subgroups_of(entry))
    except (InputError, KeyError, TypeError):
        return False


def _subgroups_of(entry: Mapping[str, Any]) -> Subgroups:
    codes, names = entry["codes"], entry["names"]
    if not all(type(code) is int for code in codes) or not all(type(n) is str for n in names):
        raise InputError("codes are whole numbers, and names are texts")
    return Subgroups(entry["column"], tuple(names), np.array(codes, dtype=np.int64))


def run_subgroups(run: RunFolder) -> dict[tuple[str, str], tuple[Subgroups, ...]]:
    """(task source, split) -> its subgroups, as the last call of the run asked for them."""
    settings = run.experiment["evaluation"].get("subgroups", [])
    return dict(_subgroups_of_targets(run)) if settings else {}


def _subgroups_of_targets(
    run: RunFolder,
) -> Iterator[tuple[tuple[str, str], tuple[Subgroups, ...]]]:
    for path in sorted((run.path / "subgroups").glob("*.json")):
        content = read_subgroup_file(path, hashed=run.has_hashes)
        splits = {"test": content.get(_OF_TEST_SPLIT, [])}
        splits[content.get("split", "all")] = content["columns"]
        for split, columns in splits.items():
            entries = [entry for entry in columns if "reason" not in entry]
            yield (content["source"], split), tuple(map(_subgroups_of, entries))
