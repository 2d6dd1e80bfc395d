"""The rows of one cell, compared with the record of the episodes that they are of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torchcross._kit.content_hash import damage_error
from torchcross.errors import DamageError, InputError
from torchcross.experiment.run.json_files import read_hashed_json
from torchcross.records import Records
from torchcross.records.files import read_hashed_records

SPLIT_ERRORS = "errors over images"
"""Field of the file of a scored split: metric -> its method, with the standard error over images,
or the reason why there is none."""

_ADVICE = "run the same again to make it again"
_FIELDS = {"algorithm": str, "target": str, "shots": int, "digest": str, "shared subjects": int}
_CONSTANT = ("target", "algorithm", "shots", "seed")


def read_scored(path: Path, *, hashed: bool) -> dict[str, Any]:
    """Which episodes the rows of the same name are of."""
    scored, has_hash = read_hashed_json(path, _ADVICE)
    if hashed and not has_hash:
        raise damage_error(path, _ADVICE, lost=True)
    wrong = [name for name, kind in _FIELDS.items() if not isinstance(scored.get(name), kind)]
    if not isinstance(scored.get("predictions", 0), int):
        wrong.append("predictions")
    if not _are_errors(scored.get(SPLIT_ERRORS, {})):
        wrong.append(SPLIT_ERRORS)
    if wrong:
        raise InputError(
            f"{path} is not as a run writes it; remove it, and nothing is paired with its rows"
        )
    return scored


def _are_errors(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, dict)
        and isinstance(each.get("method"), str)
        and (isinstance(each.get("error"), float | int) or isinstance(each.get("reason"), str))
        for each in value.values()
    )


def read_rows(path: Path, episodes: Path, *, hashed: bool) -> Records:
    """The rows of a cell; a DamageError where they are not those that its episodes gave.

    hashed  the run writes content hashes and a record of episodes for all its rows; runs of earlier
            versions may lack both
    """
    records, has_hash = read_hashed_records(path, _ADVICE)
    if not episodes.is_file():
        if hashed:
            raise DamageError(
                f"{path} has no {episodes.name} in the folder episodes: it is no file of this run,"
                f" or that file is gone; remove it, or {_ADVICE}"
            )
        return records
    scored = read_scored(episodes, hashed=hashed)
    if not has_hash and "rows" in scored:
        raise damage_error(path, _ADVICE, lost=True)
    for contradiction in _contradictions(records, scored, path.stem):
        raise DamageError(f"{path}: {contradiction}; {_ADVICE}")
    return records


def _contradictions(records: Records, scored: Mapping[str, Any], name: str) -> Iterator[str]:
    if scored.get("cell", name) != name:
        yield f"it and its episodes are a copy of {scored['cell']}"
    if len(records) != scored.get("rows", len(records)):
        yield f"it has {len(records)} rows, and its episodes gave {scored['rows']}"
    for field in _CONSTANT:
        values = records.unique(field)
        if field in scored and values != (scored[field],):
            yield f"its rows are of {field} {values}, and its episodes of {scored[field]!r}"
    # Before runs counted episodes, only what stands in the rows could be compared.
    count = scored.get("episodes", len(records.unique("episode")))
    metrics = records.unique("metric")
    pairs = [(episode, metric) for episode in range(count) for metric in metrics]
    columns = (records.columns["episode"].tolist(), records.columns["metric"].tolist())
    if list(zip(*columns, strict=True)) != pairs:
        yield (
            f"its rows are not {len(metrics)} metrics of the episodes 0 to {count - 1}, in this"
            " order"
        )
