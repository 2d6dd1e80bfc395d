"""Test your own samplers, sources, algorithms and targets: strategies that make hostile label
arrays, and checks of every contract.

    from hypothesis import given
    from torchcross.testing import check_sampler, check_source, sources

    @given(sources(kinds=["multiclass"], each=3))
    def test_my_sampler(source):
        check_sampler(MySampler(source), ways=2, shots=1, queries=2)

    @given(sources())
    def test_my_source(source):
        check_source(MySource(source))

    def test_my_algorithm():
        check_algorithm(MyAlgorithm(backbone))

    def test_my_target():
        check_target(MyTarget(["a", "b", "c"]))

The checks are plain functions that raise AssertionError. The strategies need Hypothesis (the extra
`test`), which is imported only when one of them is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torchcross.errors import MissingExtraError
from torchcross.testing.algorithm_check import check_algorithm
from torchcross.testing.numbered import NumberedSource, numbers_of
from torchcross.testing.sampler_check import check_sampler
from torchcross.testing.source_check import check_source
from torchcross.testing.target_check import check_target

if TYPE_CHECKING:
    from torchcross.testing.strategies import label_arrays, requests, samplers, sources, targets

_STRATEGIES = ("label_arrays", "requests", "samplers", "sources", "targets")

__all__ = [
    "NumberedSource",
    "check_algorithm",
    "check_sampler",
    "check_source",
    "check_target",
    "label_arrays",
    "numbers_of",
    "requests",
    "samplers",
    "sources",
    "targets",
]


def __getattr__(name: str) -> Any:
    if name not in _STRATEGIES:
        raise AttributeError(f"module 'torchcross.testing' has no attribute {name!r}")
    try:
        import_module("hypothesis")
    except ImportError as error:
        raise MissingExtraError(
            f"torchcross.testing.{name} needs Hypothesis, which is not installed; install the extra"
            " 'test' (pip install 'torchcross-fewshot[test]')"
        ) from error
    return getattr(import_module("torchcross.testing.strategies"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
