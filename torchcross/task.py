"""A task: a target with named classes, in a domain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from torchcross.errors import InputError
from torchcross.targets import Target

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """A named target in a domain: `Task("shape", MultiClass(["disc", "star"]), domain="toys")`.

    >>> from torchcross.targets import MultiClass
    >>> task = tx.Task("shape", MultiClass(["disc", "square", "star"]), domain="toys")
    >>> task.classes
    ('disc', 'square', 'star')
    >>> task.restrict(["disc", "star"]).classes
    ('disc', 'star')
    """

    name: str
    target: Target
    domain: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InputError(f"Task got the name {self.name!r}; give a non-empty string")
        if not isinstance(self.target, Target):
            raise InputError(
                f"Task {self.name!r} got the target {self.target!r}; give a target such as"
                " MultiClass(['a', 'b', 'c'])"
            )
        if not isinstance(self.domain, str):
            raise InputError(f"Task {self.name!r} got the domain {self.domain!r}; give a string")

    @property
    def classes(self) -> tuple[str, ...]:
        return self.target.classes

    def restrict(self, classes: Iterable[int | str]) -> Task:
        """The same task with some of its classes, in the task's order."""
        return replace(self, target=self.target.restrict(classes))
