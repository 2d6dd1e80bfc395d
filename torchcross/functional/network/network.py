"""A module as (params, buffers) -> output: nothing of the module changes, not even during a
call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from torchcross.errors import InputError
from torchcross.functional.network.dropout import draw_masks, refuse_unreached, substitute_dropout
from torchcross.functional.network.fusion import pool_before_relu, substitute_convolution
from torchcross.functional.network.norm_policies import (
    Frame,
    FrameHolder,
    Statistics,
    policy_named,
    substitute_norm,
)
from torchcross.functional.network.purity import given, undrawn, versions, writes, written
from torchcross.functional.network.structural_copy import Bypasses, shadow_of
from torchcross.functional.trees import Buffers, Params, inside_transform

Choice: TypeAlias = Callable[[str], bool] | str | Iterable[str]
"""Names of parameters: a predicate, a pattern (`"layer4.*"`) or several patterns."""


class Network:
    """The pure form of a module, under one BatchNorm policy (see `torchcross.functional.norm`).

    A structural copy of the module is made once; it has none of the tensors. Layers act as
    in evaluation mode, save BatchNorm (the policy decides) and dropout (on where masks are given).
    `params` and `buffers` may hold more names than the module has: it takes its own and leaves the
    rest to others.
    """

    def __init__(self, module: nn.Module, *, norm: str = "batch", fast: bool = True) -> None:
        self.module = module
        self.policy = policy_named(norm)
        self.fast = fast
        self._holder = FrameHolder()
        self._shadow = shadow_of(module)
        self._normed: list[str] = []
        self._dropout: dict[str, float] = {}
        for name, layer in self._shadow.named_modules():
            if substitute_norm(layer, name, self._holder, self.policy):
                self._normed.append(name)
            elif substitute_dropout(layer, name, self._holder):
                self._dropout[name] = float(cast(float, layer.p))
            elif fast:
                substitute_convolution(layer, self._holder)
                pool_before_relu(layer)
        self._param_names = _aliases(module, "_parameters")
        self._buffer_names = _aliases(module, "_buffers")
        statistics = ("running_mean", "running_var", "num_batches_tracked")
        self._norm_buffers = {
            f"{layer}.{buffer}" if layer else buffer
            for layer in self._normed
            for buffer in statistics
        }
        self._checked = False

    @property
    def affine_names(self) -> list[str]:
        """The weights and biases of the BatchNorm layers, by name."""
        return [
            f"{layer}.{part}" if layer else part
            for layer in self._normed
            for part in ("weight", "bias")
        ]

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies are built anew: the layers of the structural copy know each other."""
        return functools.partial(Network, norm=self.policy.name, fast=self.fast), (self.module,)

    def state(self, steps: int = 0) -> tuple[Params, Buffers]:
        """The module's tensors now. Under `per_step` statistics get a row for each of 0..steps
        updates.
        """
        params: Params = dict(self.module.named_parameters())
        buffers = dict(self.module.named_buffers())
        if self.policy.rows:
            for name in self._norm_buffers & buffers.keys():
                row = buffers[name]
                buffers[name] = row.expand(steps + 1, *row.shape).clone()
        return params, buffers

    def support(
        self,
        params: Params,
        buffers: Buffers,
        *inputs: Any,
        step: int = 0,
        masks: dict[str, Tensor] | None = None,
    ) -> tuple[Any, Buffers]:
        """A forward of the support set after `step` updates: (output, buffers with their new
        values).
        """
        frame = Frame(
            source=self.policy.support,
            buffers=buffers,
            fast=self.fast,
            moves=self.policy.moves,
            row=step if self.policy.rows else None,
            masks=masks or {},
            mask_row=step,
        )
        return self.run(params, frame, inputs)

    def statistics(
        self, params: Params, buffers: Buffers, *inputs: Any, step: int = 0
    ) -> tuple[Statistics, Buffers]:
        """What a query forward after `step` updates needs of the support set; no forward where that
        is nothing.
        """
        if not self._normed or not (self.policy.query == "given" or self.policy.rows):
            return {}, buffers
        given = self.policy.query == "given"
        frame = Frame(
            source="own",
            buffers=buffers,
            fast=self.fast,
            moves=self.policy.rows,
            records=given,
            row=step if self.policy.rows else None,
        )
        _, fresh = self.run(params, frame, inputs)
        return frame.taken, fresh

    def query(
        self,
        params: Params,
        buffers: Buffers,
        *inputs: Any,
        statistics: Statistics,
        step: int = 0,
        masks: dict[str, Tensor] | None = None,
    ) -> tuple[Any, Buffers]:
        """A forward of query samples after `step` updates, with what `statistics()` handed back."""
        frame = Frame(
            source=self.policy.query,
            buffers=buffers,
            fast=self.fast,
            row=step if self.policy.rows else None,
            given=statistics,
            masks=masks or {},
        )
        return self.run(params, frame, inputs)

    def masks(
        self,
        params: Params,
        buffers: Buffers,
        *inputs: Any,
        seed: int,
        episode: int,
        part: int,
        rows: int = 1,
    ) -> dict[str, Tensor]:
        """Dropout masks [rows, ...] for inputs of these shapes, a pure function of (seed, episode,
        part).
        """
        if not self._dropout:
            return {}
        shapes: dict[str, torch.Size] = {}
        with torch.no_grad():
            self.run(params, Frame(source="own", buffers=buffers, shapes=shapes), inputs)
        refuse_unreached(shapes, self._dropout)
        device = next(iter(params.values())).device
        return draw_masks(
            shapes, self._dropout, seed=seed, episode=episode, part=part, rows=rows, device=device
        )

    def run(self, params: Params, frame: Frame, inputs: tuple[Any, ...]) -> tuple[Any, Buffers]:
        """One forward of the copy: all that it reads is given, all that it changes is handed
        back.
        """
        if not self._checked and not inside_transform():
            self._check(params, frame, inputs)
            self._checked = True
        tensors = given(self._taken(params, self._param_names, "parameter"))
        own = self._taken(frame.buffers, self._buffer_names, "buffer", skip=self._norm_buffers)
        copies, before = {name: value.clone() for name, value in own.items()}, versions(tensors)
        tensors.update(copies)
        with self._holder.hold(frame):
            output = torch.func.functional_call(self._shadow, tensors, inputs, tie_weights=False)
        if wrote := written(tensors, before):
            raise writes(type(self.module).__name__, wrote, kept=True)
        changed = {
            name: tensors[name]
            for name, copied in copies.items()
            if tensors[name] is not copied or copied._version > 0
        }
        fresh = {name: changed[name] for name in self._buffer_names if name in changed}
        return output, {**frame.buffers, **fresh, **frame.fresh}

    def _taken(
        self,
        given: dict[str, Tensor],
        names: dict[str, list[str]],
        kind: str,
        skip: Iterable[str] = (),
    ) -> dict[str, Tensor]:
        missing = [name for name in names if name not in given]
        if missing:
            raise InputError(
                f"the {kind}s given lack {', '.join(map(repr, missing[:5]))} of "
                f"{type(self.module).__name__}; start from `network.state()` and keep its names."
            )
        kept = set(names) - set(skip)
        return {
            alias: given[name]
            for name, aliases in names.items()
            if name in kept
            for alias in aliases
        }

    def _try(self, params: Params, frame: Frame, inputs: tuple[Any, ...]) -> None:
        """A forward; a module that views its images as if channels came first gets them so from now
        on.
        """
        try:
            self.run(params, frame, inputs)
        except RuntimeError as error:
            if "view size is not compatible" not in str(error) or not self._holder.channels_last:
                raise
            self._holder.channels_last = False
            self.run(params, frame.anew(), inputs)

    @torch.no_grad()
    def _check(self, params: Params, frame: Frame, inputs: tuple[Any, ...]) -> None:
        """One forward on copies: refuses a module that writes to parameters, draws numbers, or
        reads others.
        """
        who = type(self.module).__name__
        copies = {
            name: params[name].detach().clone() for name in self._param_names if name in params
        }
        device = next((value.device for value in copies.values()), torch.device("cpu"))
        self._checked, bypasses = True, Bypasses(self.module)
        try:
            with undrawn(who, device), bypasses:
                self._try(copies, frame.anew(), inputs)
        finally:
            self._checked = False
        for name, value in copies.items():
            if not torch.equal(value, params[name]) and not torch.isnan(value).any():
                raise writes(who, name)
        if bypasses.found:
            raise InputError(
                f"{who} reads its own {bypasses.found!r} in a forward that was given another: a"
                " function, hook or other attribute of it holds the tensor or its layer; read it"
                " through `self` in `forward`."
            )


def call(
    module: nn.Module,
    params: Params,
    buffers: Buffers,
    *inputs: Any,
    norm: str = "batch",
    step: int = 0,
) -> tuple[Any, Buffers]:
    """One pure forward, as of a support set: (output, new buffers). Keep a `Network` where there
    are many.
    """
    return Network(module, norm=norm).support(params, buffers, *inputs, step=step)


def select(names: Iterable[str], choice: Choice) -> frozenset[str]:
    """The names that a predicate or patterns choose; a pattern that chooses none is an error."""
    known = list(names)
    if callable(choice):
        return frozenset(name for name in known if choice(name))
    patterns = [choice] if isinstance(choice, str) else list(choice)
    chosen: set[str] = set()
    for pattern in patterns:
        hits = [name for name in known if fnmatchcase(name, pattern)]
        if not hits:
            raise InputError(
                f"the pattern {pattern!r} names none of the {len(known)} parameters "
                f"({', '.join(known[:4])}, ...); patterns are shell-style, as in 'layer4.*'."
            )
        chosen.update(hits)
    return frozenset(chosen)


def partition(params: Params, choice: Choice) -> tuple[Params, Params]:
    """(chosen, rest): the adapted and the fixed parameters, say."""
    chosen = select(params, choice)
    return (
        {name: value for name, value in params.items() if name in chosen},
        {name: value for name, value in params.items() if name not in chosen},
    )


def merge_buffers(each: Iterable[Buffers]) -> Buffers:
    """One value for each buffer from those of several episodes: the mean; of integer counts the
    largest.
    """
    trees = list(each)
    if not trees:
        raise InputError("there are no buffers to merge: the list of episodes is empty.")
    merged = {}
    for name, first in trees[0].items():
        if all(tree[name] is first for tree in trees):
            merged[name] = first
            continue
        stacked = torch.stack([tree[name] for tree in trees])
        merged[name] = stacked.mean(0) if first.is_floating_point() else stacked.amax(0)
    return merged


def _aliases(module: nn.Module, kind: str) -> dict[str, list[str]]:
    """First name -> the name of every place that holds the same tensor (a layer with two names is
    one place).
    """
    first: dict[int, str] = {}
    names: dict[str, list[str]] = {}
    for prefix, layer in module.named_modules():
        for local, tensor in vars(layer)[kind].items():
            if tensor is not None:
                name = f"{prefix}.{local}" if prefix else local
                names.setdefault(first.setdefault(id(tensor), name), []).append(name)
    return names
