"""What the fields of a run's JSON files must be, where a page or a later run uses them.

A content hash shows accidents. A folder from a stranger may have fitting hashes over anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torchcross.errors import InputError

PROTOCOL, TRAINING = "protocol.json", "training.json"

_POINT = ("point", "published", "here", "setting")

_Check = Callable[[object], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return type(value) is int


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_groups(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_texts, value))


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _is_choices(value: object) -> bool:
    """Pairs of texts; earlier versions wrote a mapping, and the earliest nothing."""
    if isinstance(value, dict):
        return all(map(_is_text, value.values()))
    return value is None or (_is_groups(value) and all(len(pair) == 2 for pair in value))  # type: ignore[attr-defined]  # lists, says the first test


def _is_episodes(value: object) -> bool:
    """Target -> what its episodes are like."""
    return isinstance(value, dict) and all(
        isinstance(each, dict)
        and _is_texts(each.get("classes left out"))
        and _is_count(each.get("episodes"))
        for each in value.values()
    )


def _is_comparison(value: object) -> bool:
    """A publication, and points of texts."""
    if not isinstance(value, dict) or not _is_text(value.get("publication")):
        return False
    points = value.get("points")
    return isinstance(points, list) and all(
        isinstance(point, dict) and all(_is_text(point.get(name)) for name in _POINT)
        for point in points
    )


def _is_step(value: object) -> bool:
    return value is None or _is_count(value)


_OPTIONAL: Mapping[str, Mapping[str, _Check]] = {
    PROTOCOL: {
        "cautions": _is_texts,
        "choices": _is_choices,
        "episodes of targets": _is_episodes,
        "order of targets": _is_texts,
        "published": _is_comparison,
        "related targets": _is_groups,
        "settings without effect": _is_texts,
        "targets": _is_table,
    },
    TRAINING: {"unjudged": _is_texts},
}
_REQUIRED: Mapping[str, Mapping[str, _Check]] = {
    TRAINING: {
        "algorithm": _is_text,
        "target": _is_text,
        "seed": _is_count,
        "sources": _is_texts,
        "left_out": _is_texts,
        "best_step": _is_step,
    }
}

_FAILURE = {"kind", "target", "algorithm", "seed", "reason"}


def checked_failures(path: Path, record: Mapping[str, Any]) -> list[dict[str, str]]:
    """What failed, from the content of failures.json."""
    failures = record.get("failures", [])
    if not isinstance(failures, list) or not all(
        isinstance(each, dict) and each.keys() >= _FAILURE for each in failures
    ):
        raise InputError(f"{path} is not as a run writes it; remove it, and run again")
    return failures


def check_fields(path: Path, record: Mapping[str, Any], advice: str) -> None:
    """An InputError names the fields of a file that are not what a run writes."""
    wrong = [
        *(
            name
            for name, holds in _REQUIRED.get(path.name, {}).items()
            if name not in record or not holds(record[name])
        ),
        *(
            name
            for name, holds in _OPTIONAL.get(path.name, {}).items()
            if name in record and not holds(record[name])
        ),
    ]
    if wrong:
        raise InputError(
            f"{path} is not as a run writes it: {', '.join(wrong)} cannot be used; {advice}"
        )
