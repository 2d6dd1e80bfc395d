"""Choosing parameters by their names: predicates and shell-style patterns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import TypeAlias

from torchcross.errors import InputError
from torchcross.functional.trees import Params, split_by_name

Choice: TypeAlias = Callable[[str], bool] | str | Iterable[str]
"""Names of parameters: a predicate, a pattern (`"layer4.*"`) or several patterns."""


def select(names: Iterable[str], choice: Choice) -> frozenset[str]:
    """The names that a predicate or patterns choose; a pattern that chooses none is an error.

    >>> from torchcross.functional import select
    >>> sorted(select(["layer3.weight", "layer4.weight", "head.bias"], ["layer4.*", "head.*"]))
    ['head.bias', 'layer4.weight']
    """
    known = list(names)
    if callable(choice):
        return frozenset(name for name in known if choice(name))
    patterns = [choice] if isinstance(choice, str) else list(choice)
    matches: set[str] = set()
    for pattern in patterns:
        hits = [name for name in known if fnmatchcase(name, pattern)]
        if not hits:
            raise InputError(
                f"the pattern {pattern!r} names none of the {len(known)} parameters"
                f" ({', '.join(known[:4])}, ...); patterns are shell-style, as in 'layer4.*'."
            )
        matches.update(hits)
    return frozenset(matches)


def partition(params: Params, choice: Choice) -> tuple[Params, Params]:
    """(chosen, rest): the adapted and the fixed parameters, say.

    >>> from torchcross.functional import partition
    >>> params = {"body.weight": torch.zeros(2), "head.weight": torch.ones(2)}
    >>> adapted, fixed = partition(params, "head.*")
    >>> list(adapted), list(fixed)
    (['head.weight'], ['body.weight'])
    """
    return split_by_name(params, select(params, choice))
