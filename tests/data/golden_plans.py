"""Plans that were drawn once and are drawn for ever: what a paper says it sampled can be sampled
again.

python tests/data/golden_plans.py           compare what is drawn now with the files, case by case
python tests/data/golden_plans.py --write   write the files anew

Writing is legitimate in two cases: a case was added here, or a change of what is drawn is meant, is
worth breaking every published seed for, and is named in CHANGELOG.md under "Changed". A
refactoring, a speed-up or another version of numpy, torch or Python changes nothing here; if it
does, it is wrong.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).with_name("golden")
ROOT = Path(__file__).parents[2]
NUMBERS = (0, 1, 2, 1000, 2**40)


def _episodes(**asked: Any) -> Callable[[Any], list[Any]]:
    def draw(source: Any) -> list[Any]:
        from torchcross import EpisodeSampler

        sampler = EpisodeSampler(source(), **asked)
        numbers = range(len(sampler)) if "disjoint" in asked else NUMBERS
        return [_plain(sampler[number]) for number in numbers]

    return draw


def _curve(**asked: Any) -> Callable[[Any], list[Any]]:
    def draw(source: Any) -> list[Any]:
        from torchcross import EpisodeSampler

        curve = EpisodeSampler(source(), **asked).curve([1, 3, 5])
        return [_plain(plan) for number in NUMBERS[-3:] for plan in curve[number].values()]

    return draw


def _batches(**asked: Any) -> Callable[[Any], list[Any]]:
    def draw(source: Any) -> list[Any]:
        from torchcross import MixedBatches

        batches = MixedBatches(source(), **asked)
        plans = [batches[number] for number in (0, 1, 2, 500, 10_000)]
        return [
            {"index": plan.index, "source": plan.source, "samples": plan.samples.tolist()}
            for plan in plans
        ]

    return draw


def _plain(plan: Any) -> dict[str, Any]:
    names = ("support", "support_labels", "query", "query_labels")
    arrays = {name: getattr(plan, name).tolist() for name in names}
    return {
        "index": plan.index,
        "source": plan.source,
        "classes": list(plan.classes),
        "shots": plan.shots,
    } | arrays


# -- sources without any randomness ----------------------------------------------------------------


def _scattered(samples: int, classes: int) -> np.ndarray:
    """Labels in no simple order, class 0 the most common."""
    numbers = np.arange(samples)
    return np.minimum(numbers * numbers % 101 % (classes + 2), numbers * 7 % classes)


def multiclass(name: str = "toy") -> Any:
    from torchcross.data import LabelSource
    from torchcross.targets import MultiClass
    from torchcross.task import Task

    labels = np.append(_scattered(400, 5), [-1] * 10)
    return LabelSource(labels, Task("toy", MultiClass(list("abcde"), missing=-1)), name=name)


def ordinal() -> Any:
    from torchcross.data import LabelSource
    from torchcross.targets import Ordinal
    from torchcross.task import Task

    grades = np.array([0, 1, 4, 6])
    return LabelSource(
        grades[_scattered(300, 4)], Task("stage", Ordinal(list("abcd"), grades=grades.tolist()))
    )


def binary_with_subjects() -> Any:
    from torchcross.data import LabelSource
    from torchcross.targets import Binary
    from torchcross.task import Task

    return LabelSource(
        _scattered(200, 2), Task("sick", Binary(), domain="scans"), groups=np.arange(200) // 7
    )


def multilabel() -> Any:
    from torchcross.data import LabelSource
    from torchcross.targets import MultiLabel
    from torchcross.task import Task

    answers = np.stack(
        [_scattered(500, 9) == 1, np.arange(500) % 5 == 2, np.arange(500) % 3 < 2], axis=1
    ).astype(int)
    answers[::50, 1] = -1
    return LabelSource(
        answers, Task("signs", MultiLabel(list("xyz"), missing=-1)), groups=np.arange(500) // 3
    )


def several() -> list[Any]:
    return [multiclass(), ordinal(), binary_with_subjects(), multilabel()]


def _variable() -> Any:
    from torchcross import MetaDatasetShots

    return MetaDatasetShots(max_support=40, max_per_class=20)


CASES: dict[str, Callable[[], list[Any]]] = {
    "multiclass": lambda: _episodes(ways=3, shots=2, queries=3, seed=1)(multiclass),
    "drawn_ways_and_shots": lambda: _episodes(ways=(2, None), shots=(1, 4), queries=2, seed=2)(
        multiclass
    ),
    "filtered": lambda: _episodes(ways=(2, None), shots=9, queries=30, min_samples="enough")(
        multiclass
    ),
    "ordinal": lambda: _episodes(ways=(2, 3), shots=2, queries=3)(ordinal),
    "binary_with_subjects": lambda: _episodes(shots=3, queries=5)(binary_with_subjects),
    "multilabel": lambda: _episodes(ways=(2, None), shots=2, queries=3)(multilabel),
    "multilabel_union": lambda: _episodes(shots=(1, 2), queries=2, minimal=False, query="natural")(
        multilabel
    ),
    "natural": lambda: _episodes(ways=3, shots=2, queries=3, query="natural")(multiclass),
    "natural_with_subjects": lambda: _episodes(shots=2, queries=5, query="natural")(
        binary_with_subjects
    ),
    "natural_support": lambda: _episodes(ways=3, shots=2, queries=3, support="natural")(multiclass),
    "natural_support_with_subjects": lambda: _episodes(
        shots=2, queries=5, support="natural", query="natural"
    )(binary_with_subjects),
    "natural_support_of_labels": lambda: _episodes(ways=2, shots=2, queries=2, support="natural")(
        multilabel
    ),
    "meta_dataset": lambda: _episodes(ways=(2, None), shots=_variable(), queries=4)(multiclass),
    "disjoint": lambda: _episodes(ways=(2, 4), shots=2, queries=3, disjoint=5)(multiclass),
    "disjoint_multilabel": lambda: _episodes(ways=2, shots=1, queries=2, disjoint=4)(multilabel),
    "mixture": lambda: _episodes(ways=(2, 3), shots=1, queries=2, weights=[1, 2, 0.5, 3])(several),
    "curve": lambda: _curve(ways=3, queries=2)(multiclass),
    "curve_multilabel": lambda: _curve(queries=2)(multilabel),
    "curve_natural_support": lambda: _curve(queries=2, support="natural")(ordinal),
    "mixed_batches": lambda: _batches(batch_size=8, seed=7)(several),
    "mixed_batches_by_epoch": lambda: _batches(batch_size=8, seed=3, order="epoch")(several),
}


def as_text(plans: list[Any]) -> str:
    """One plan a line, so that a difference can be read."""
    return "[\n" + ",\n".join(json.dumps(plan) for plan in plans) + "\n]\n"


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    changed = 0
    for name, draw in CASES.items():
        path, text = FOLDER / f"{name}.json", as_text(draw())
        same = path.is_file() and path.read_text(encoding="utf-8") == text
        if arguments and not same:
            path.write_text(text, encoding="utf-8")
        changed += not same
        print(f"{name}: {'as ever' if same else 'written' if arguments else 'DIFFERENT'}")
    return int(bool(changed) and not arguments)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
