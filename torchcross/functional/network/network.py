"""A module as (params, buffers) -> output: the module never changes, not even during a call."""

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
from torchcross.functional.network.norm_layers import substitute_norm
from torchcross.functional.network.norm_policies import (
    ForwardFrame,
    FrameHolder,
    Statistics,
    policy_named,
)
from torchcross.functional.network.purity import (
    changed_name,
    guard,
    refuse_random_draws,
    versions,
    write_error,
)
from torchcross.functional.network.structural_copy import Bypasses, structural_copy
from torchcross.functional.trees import Buffers, Params, inside_transform, split_by_name

Choice: TypeAlias = Callable[[str], bool] | str | Iterable[str]
"""Names of parameters: a predicate, a pattern (`"layer4.*"`) or several patterns."""


class Network:
    """The pure form of a module, under one BatchNorm policy (a name in `POLICIES`).

    A structural copy of the module is made once; it has none of the tensors. Layers act as in
    evaluation mode, except BatchNorm (the policy decides) and dropout (on where a call has masks).
    `params` and `buffers` may hold more names than the module has; those are ignored.
    """

    def __init__(self, module: nn.Module, *, norm: str = "batch", fast: bool = True) -> None:
        self.module = module
        self.policy = policy_named(norm)
        self.fast = fast
        self._holder = FrameHolder()
        self._copy = structural_copy(module)
        self._norm_layers: list[str] = []
        self._dropout_rates: dict[str, float] = {}
        for name, layer in self._copy.named_modules():
            if substitute_norm(layer, name, self._holder, self.policy):
                self._norm_layers.append(name)
            elif substitute_dropout(layer, name, self._holder):
                self._dropout_rates[name] = float(cast(float, layer.p))
            elif fast:
                substitute_convolution(layer, self._holder)
                pool_before_relu(layer)
        self._param_names = _aliases(module, "_parameters")
        self._buffer_names = _aliases(module, "_buffers")
        statistics = ("running_mean", "running_var", "num_batches_tracked")
        self._norm_buffers = set(self._names_in_norm_layers(*statistics))
        self._is_checked = False

    @property
    def affine_names(self) -> list[str]:
        """The weights and biases of the BatchNorm layers, by name."""
        return self._names_in_norm_layers("weight", "bias")

    def _names_in_norm_layers(self, *parts: str) -> list[str]:
        # The module may itself be a BatchNorm: its name is empty.
        return [f"{layer}.{part}".lstrip(".") for layer in self._norm_layers for part in parts]

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy builds its own structural copy, whose layers refer to each other."""
        return functools.partial(Network, norm=self.policy.name, fast=self.fast), (self.module,)

    def state(self, steps: int = 0) -> tuple[Params, Buffers]:
        """The module's tensors now; under `per_step`, statistics have a row for each update."""
        params: Params = dict(self.module.named_parameters())
        buffers = dict(self.module.named_buffers())
        if self.policy.rows:
            for name in self._norm_buffers & buffers.keys():
                # Rows for 0..steps updates: the query follows the last one.
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
        """A forward of the support set after `step` updates: (output, new buffers)."""
        frame = ForwardFrame(
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
        """(statistics of the support set for a query forward after `step` updates, new buffers).

        Where the policy needs none, no forward is run.
        """
        uses_support = self.policy.query == "support"
        if not self._norm_layers or not (uses_support or self.policy.rows):
            return {}, buffers
        frame = ForwardFrame(
            source="own",
            buffers=buffers,
            fast=self.fast,
            moves=self.policy.rows,
            records=uses_support,
            row=step if self.policy.rows else None,
        )
        _, fresh = self.run(params, frame, inputs)
        return frame.recorded, fresh

    def query(
        self,
        params: Params,
        buffers: Buffers,
        *inputs: Any,
        statistics: Statistics,
        step: int = 0,
        masks: dict[str, Tensor] | None = None,
    ) -> tuple[Any, Buffers]:
        """A forward of query samples after `step` updates, with the result of `statistics()`."""
        frame = ForwardFrame(
            source=self.policy.query,
            buffers=buffers,
            fast=self.fast,
            row=step if self.policy.rows else None,
            statistics=statistics,
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
        """Dropout masks [rows, ...] for inputs of these shapes; (seed, episode, part) decide."""
        if not self._dropout_rates:
            return {}
        shapes: dict[str, torch.Size] = {}
        with torch.no_grad():
            self.run(params, ForwardFrame(source="own", buffers=buffers, shapes=shapes), inputs)
        refuse_unreached(shapes, self._dropout_rates)
        device = next(iter(params.values())).device
        return draw_masks(
            shapes,
            self._dropout_rates,
            seed=seed,
            episode=episode,
            part=part,
            rows=rows,
            device=device,
        )

    def run(
        self, params: Params, frame: ForwardFrame, inputs: tuple[Any, ...]
    ) -> tuple[Any, Buffers]:
        """One forward of the copy: (output, new buffers). All that it reads is an argument."""
        if not self._is_checked and not inside_transform():
            self._check(params, frame, inputs)
            self._is_checked = True
        tensors = guard(self._own_tensors(params, self._param_names, "parameter"))
        buffers = self._own_tensors(frame.buffers, self._buffer_names, "buffer")
        # Copies, for layers may write to buffers. BatchNorm gets its own through the frame.
        copies = {
            name: value.clone() for name, value in buffers.items() if name not in self._norm_buffers
        }
        before = versions(tensors)
        tensors.update(copies)
        with self._holder.hold(frame):
            output = torch.func.functional_call(self._copy, tensors, inputs, tie_weights=False)
        if name := changed_name(tensors, before):
            # Unlike in `_check`, the caller's own tensor may have the value that was written.
            advice = " The parameter has the value written: put it back from your last checkpoint."
            raise write_error(type(self.module).__name__, name, after=advice)
        fresh = {
            name: tensors[name]
            for name, copied in copies.items()
            if name in self._buffer_names and (tensors[name] is not copied or copied._version > 0)
        }
        return output, {**frame.buffers, **fresh, **frame.fresh}

    def _own_tensors(
        self, tensors: dict[str, Tensor], names: dict[str, list[str]], kind: str
    ) -> dict[str, Tensor]:
        """The module's own among these tensors, under every name that the module has for them."""
        missing = [name for name in names if name not in tensors]
        if missing:
            raise InputError(
                f"the {kind}s lack {', '.join(map(repr, missing[:5]))} of"
                f" {type(self.module).__name__}; start from `network.state()` and keep its names."
            )
        return {alias: tensors[name] for name, aliases in names.items() for alias in aliases}

    @torch.no_grad()
    def _check(self, params: Params, frame: ForwardFrame, inputs: tuple[Any, ...]) -> None:
        """One forward on copies: refuse a module that is not a pure function of its arguments.

        Such a module writes to parameters, draws random numbers, or reads tensors of its own.
        """
        who = type(self.module).__name__
        names = [name for name in self._param_names if name in params]
        copies = {name: params[name].detach().clone() for name in names}
        device = next((value.device for value in copies.values()), torch.device("cpu"))
        self._is_checked, bypasses = True, Bypasses(self.module)
        try:
            with refuse_random_draws(who, device), bypasses:
                self._try_layouts(copies, frame.restart(), inputs)
        finally:
            self._is_checked = False
        for name, value in copies.items():
            if not torch.equal(value, params[name]) and not torch.isnan(value).any():
                raise write_error(who, name)
        if bypasses.parameter:
            raise InputError(
                f"{who} reads its own {bypasses.parameter!r} in a forward that got another: a"
                " function, hook or other attribute of it holds the tensor or its layer; read it"
                " through `self` in `forward`."
            )

    def _try_layouts(self, params: Params, frame: ForwardFrame, inputs: tuple[Any, ...]) -> None:
        """Run once; turn channels-last off for a module that views images as channels-first."""
        try:
            self.run(params, frame, inputs)
        except RuntimeError as error:
            if "view size is not compatible" not in str(error) or not self._holder.channels_last:
                raise
            self._holder.channels_last = False
            self.run(params, frame.restart(), inputs)


def call(
    module: nn.Module,
    params: Params,
    buffers: Buffers,
    *inputs: Any,
    norm: str = "batch",
    step: int = 0,
) -> tuple[Any, Buffers]:
    """One pure forward, as of a support set: (output, new buffers).

    For many forwards, build a `Network` once.
    """
    return Network(module, norm=norm).support(params, buffers, *inputs, step=step)


def select(names: Iterable[str], choice: Choice) -> frozenset[str]:
    """The names that a predicate or patterns choose; a pattern that chooses none is an error."""
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
    """(chosen, rest): the adapted and the fixed parameters, say."""
    return split_by_name(params, select(params, choice))


def merge_buffers(each: Iterable[Buffers]) -> Buffers:
    """One value for each buffer from those of several episodes: the mean, or the largest count."""
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
    """First name of a tensor -> the names of every place that holds it.

    A layer with two names is one place.
    """
    first: dict[int, str] = {}
    names: dict[str, list[str]] = {}
    for prefix, layer in module.named_modules():
        for local, tensor in vars(layer)[kind].items():
            if tensor is not None:
                name = f"{prefix}.{local}" if prefix else local
                names.setdefault(first.setdefault(id(tensor), name), []).append(name)
    return names
