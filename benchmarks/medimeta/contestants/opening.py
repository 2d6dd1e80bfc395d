"""All descriptions of a folder of datasets, read anew every time. Runs in either environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def contestants(inputs: Any, root: str, name: str) -> dict[str, Callable[[int], Any]]:
    return {name: {"published": published, "ours": ours}[name](root)}


def published(root: str) -> Callable[[int], Any]:
    from medimeta import MedIMeta

    def work(count: int) -> Any:
        for _ in range(count):
            MedIMeta._available_tasks = None
            found = MedIMeta.get_available_tasks(root)
        return [f"{dataset}/{task}" for dataset in sorted(found) for task in found[dataset]]

    return work


def ours(root: str) -> Callable[[int], Any]:
    from medimeta_adapter import MedIMeta

    def work(count: int) -> Any:
        for _ in range(count):
            meta = MedIMeta(root)
        return [str(task) for task in meta.tasks]

    return work
