"""Shapes stand in signatures, and hold: tests whose inputs are legal are run again with every shape
checked.
"""

from __future__ import annotations

import inspect
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from torch import Tensor

from tests.repository.shape_checks import has_shape
from torchcross import losses, metrics

ROOT = Path(__file__).parents[2]
CHECKED = (
    *("torchcross.losses", "torchcross.metrics", "torchcross.targets", "torchcross.episode"),
    *("torchcross.data.loading.augment", "torchcross.heads", "torchcross.functional.network.ops"),
)
LEGAL = (
    "tests/losses/test_classification_losses.py",
    "tests/losses/test_links.py",
    "tests/losses/test_loss_contracts.py",
    "tests/losses/test_ordinal_losses.py",
    "tests/metrics/test_multilabel_metrics.py",
    "tests/metrics/test_ordinal_metrics.py",
    "tests/metrics/test_single_label_metrics.py",
    "tests/targets/test_evaluation.py",
    "tests/targets/test_learning.py",
    "tests/targets/test_ordinal_symmetry.py",
    "tests/data/test_augment_pixels.py",
    "tests/algorithms/test_heads.py",
    "tests/functional/test_in_place.py",
    "tests/functional/test_ops.py",
)
# These give what has no shape that fits, on purpose.
ILLEGAL = (
    "tests/targets/test_evaluation.py::test_unknown_metrics_and_shapes_are_refused",
    "tests/targets/test_learning.py::test_losses_want_codes_of_the_right_shape",
    "tests/targets/test_learning.py::test_prediction_refuses_what_its_head_did_not_make",
)
# These make thousands of calls with shapes that others have too.
LONG = (
    "tests/losses/test_links.py::test_links_and_losses_speak_of_the_same_probabilities",
    "tests/losses/test_loss_contracts.py::test_extreme_logits_stay_finite",
    "tests/losses/test_loss_contracts.py::test_first_and_second_derivatives",
    "tests/losses/test_loss_contracts.py::test_logits_of_missing_entries_never_show",
    "tests/targets/test_learning.py::test_a_head_from_zero_learns_what_can_be_told_apart",
    "tests/targets/test_learning.py::test_probabilities_are_probabilities",
    "tests/targets/test_ordinal_symmetry.py::test_a_head_trained_on_the_reversed_scale_predicts_the_reverse",
)
FEWEST = 700


def run_checked(
    packages: tuple[str, ...], *arguments: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run pytest in `folder` with the shapes of `packages` checked."""
    instrumented = ",".join([*packages, "tests.repository.shape_checks.checked"])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.repository.shape_checks",
    ]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
        "PYTEST_ADDOPTS": "",
    }
    command += [f"--jaxtyping-packages={instrumented}", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.long
def test_legal_inputs_and_their_outputs_have_the_shapes_of_the_signatures() -> None:
    ran = run_checked(
        CHECKED, *LEGAL, *(f"--deselect={test}" for test in ILLEGAL + LONG), folder=ROOT
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr
    (passed,) = re.findall(r"^(\d+) passed", ran.stdout, re.MULTILINE)
    assert int(passed) >= FEWEST


MODULE = """
from jaxtyping import Float
from torch import Tensor


def right(x: Float[Tensor, "N K"]) -> Float[Tensor, " N"]:
    return x.sum(dim=1)


def wrong(x: Float[Tensor, "N K"]) -> Float[Tensor, " K"]:
    return x.sum(dim=1)
"""
TESTS = """
import torch
from sums import right, wrong


def test_right():
    right(torch.zeros(3, 2))


def test_wrong():
    wrong(torch.zeros(3, 2))


def test_wrong_argument():
    right(torch.zeros(3))
"""


@pytest.mark.long
def test_a_wrong_shape_is_caught(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(MODULE)
    (tmp_path / "test_sums.py").write_text(TESTS)
    ran = run_checked(("sums",), "test_sums.py", folder=tmp_path)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert re.search(r"^2 failed, 1 passed", ran.stdout, re.MULTILINE), ran.stdout
    assert "Type-check error whilst checking the return value of sums.wrong" in ran.stdout
    assert "Type-check error whilst checking the parameters of sums.right" in ran.stdout


# -- every annotation can be read, or jaxtyping would pass over it without a word ------------------


def modules_of(package: str) -> Iterator[Any]:
    module = import_module(package)
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{package}."):
        yield from modules_of(found.name)


def functions_of(owner: Any, module: str) -> Iterator[Callable[..., Any]]:
    """Yield the functions and classes that a module defines, and their methods."""
    for value in list(vars(owner).values()):
        value = getattr(value, "__func__", getattr(value, "fget", value))
        if not (inspect.isfunction(value) or inspect.isclass(value)) or value.__module__ != module:
            continue
        yield value
        if inspect.isclass(value):
            yield from functions_of(value, module)


@pytest.mark.parametrize("package", CHECKED)
def test_every_annotation_can_be_read(package: str) -> None:
    found = 0
    for module in modules_of(package):
        for function in functions_of(module, module.__name__):
            hints = get_type_hints(function, include_extras=True)
            found += sum(map(has_shape, hints.values()))
    assert found > 1


def says_no_shape(hint: object) -> bool:
    return hint is Tensor or (not has_shape(hint) and any(map(says_no_shape, get_args(hint))))


@pytest.mark.parametrize(
    "name", [f"{room.__name__}.{name}" for room in (losses, metrics) for name in room.__all__]
)
def test_every_public_function_says_its_shapes(name: str) -> None:
    room, _, function = name.rpartition(".")
    value = getattr(import_module(room), function)
    hints = get_type_hints(value, include_extras=True) if callable(value) else {}
    assert [parameter for parameter, hint in hints.items() if says_no_shape(hint)] == []
