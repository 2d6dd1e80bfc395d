"""Heads that are learned like the backbone: one for each task, or one for each layout."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, final
from urllib.parse import quote

from torch import Tensor, nn

from torchcross.errors import InputError
from torchcross.heads.linear import BIAS, WEIGHT, kaiming_head, seeded_generator, zero_head
from torchcross.task import Task

HeadStart = Literal["kaiming", "zero"]


@final
class LearnedHeads(nn.Module):
    """`LearnedHeads(tasks, features)`: a linear head for each task (by domain and name).

    They start at zero, or are Kaiming-initialised from `seed`. With `by="layout"`, tasks whose
    heads have the same shapes share one: the fixed-way head of classical MAML.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        features: int,
        *,
        by: Literal["task", "layout"] = "task",
        seed: int = 0,
        start: HeadStart = "kaiming",
    ) -> None:
        super().__init__()
        if start not in ("kaiming", "zero"):
            raise InputError(f"heads cannot start from {start!r}; choose 'kaiming' or 'zero'.")
        self.start = start
        if by not in ("task", "layout"):
            raise InputError(f"LearnedHeads got by={by!r}; choose 'task' or 'layout'.")
        self.by = by
        self.features = features
        self.weights = nn.ParameterDict()
        self.biases = nn.ParameterDict()
        for task in tasks:
            key = self._key(task)
            if key in self.weights and by == "task":
                raise InputError(
                    f"LearnedHeads got two tasks called {task.name!r} in the domain"
                    f" {task.domain!r}; rename one of them, or share a head with by='layout'."
                )
            if key not in self.weights:
                head = self._first_values(task, seed)
                self.weights[key] = nn.Parameter(head[WEIGHT])
                self.biases[key] = nn.Parameter(head[BIAS])
        if not self.weights:
            raise InputError("LearnedHeads got no task; give at least one.")

    def _first_values(self, task: Task, seed: int) -> dict[str, Tensor]:
        if self.start == "zero":
            return zero_head(task.target, self.features)
        generator = seeded_generator(seed, "learned", self._key(task))
        return kaiming_head(task.target, self.features, generator=generator)

    def of(self, task: Task) -> dict[str, Tensor]:
        """The head of a task: its live parameters."""
        key, layout = self._key(task), task.target.head
        if key not in self.weights:
            raise InputError(
                f"there is no learned head for the task {task.name!r} of the domain"
                f" {task.domain!r}; there are heads for {', '.join(sorted(self.weights.keys()))}."
                " Pass it to LearnedHeads(tasks, ...), or use head='zero'."
            )
        weight, bias = self.weights[key], self.biases[key]
        if (weight.shape[0], bias.shape[0]) != (layout.weight_rows, layout.biases):
            raise InputError(
                f"the learned head of task {task.name!r} has {weight.shape[0]} weight rows and"
                f" {bias.shape[0]} biases, and its {task.target.num_classes} classes now need"
                f" {layout.weight_rows} and {layout.biases}; sample all classes (ways=None), or use"
                " head='zero', which fits any number of classes."
            )
        return {WEIGHT: weight, BIAS: bias}

    def _key(self, task: Task) -> str:
        layout = task.target.head
        name = f"{task.domain}/{task.name}"
        if self.by == "layout":
            name = f"{layout.kind}-{layout.outputs}"
        # Torch allows no dots in names of parameters, and no names of the module's own methods.
        return f"{self.by}={quote(name, safe='/- ').replace('.', '%2E')}"
