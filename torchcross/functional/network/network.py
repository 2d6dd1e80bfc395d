"""A module as (params, buffers) -> output: the module never changes, not even during a call."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import torch
from torch import Tensor, nn

from torchcross.errors import InputError
from torchcross.functional.network.attention import differentiable_attention
from torchcross.functional.network.dropout import draw_masks
from torchcross.functional.network.first_use import FirstUse
from torchcross.functional.network.masked_draws import MaskedDraws
from torchcross.functional.network.module_copies import ModuleCopies, own_tensors
from torchcross.functional.network.norm_policies import Draw, ForwardFrame, Statistics, policy_named
from torchcross.functional.network.observing import SupportCall, current_observer
from torchcross.functional.network.purity import changed_name, guard, versions, write_error
from torchcross.functional.network.spectral_norm import with_unit_length
from torchcross.functional.network.structural_copy import refuse_complex
from torchcross.functional.trees import Buffers, Params, device_of, shape_key


class Network:
    """The pure form of a module, under one BatchNorm policy (a name in `POLICIES`).

    Structural copies of the module run; they have none of the tensors. A change of the module's
    settings (an attribute, a layer, a hook) is seen at the next call, which makes new copies.
    Threads may use one network at once: each forward has a copy to itself. Layers act as in
    training mode where a call has masks, even if there are none in them, and as in evaluation mode
    without; BatchNorm acts as the policy says. The module's own mode plays no part.
    `params` and `buffers` may hold more names than the module has; those are ignored.
    """

    def __init__(self, module: nn.Module, *, norm: str = "batch", fast: bool = True) -> None:
        self.module = module
        self.policy = policy_named(norm)
        self.fast = fast
        self._follows_module = True
        self._copies = ModuleCopies(module, self.policy, fast=fast)

    @property
    def affine_names(self) -> list[str]:
        """The weights and biases of the BatchNorm layers, by name."""
        return self._current_copies().affine_names

    @property
    def generation(self) -> int:
        """A number that changes whenever the module has changed, except in its tensors."""
        return self._current_copies().number

    @property
    def training_layers(self) -> dict[str, str]:
        """Name -> class of the layers that may act otherwise in training mode."""
        return self._current_copies().training_layers

    def with_unit_vectors(self, buffers: Buffers) -> Buffers:
        """The same buffers, with the vectors of spectral normalisation of length 1 again."""
        return with_unit_length(buffers, self._current_copies().vectors)

    def snapshot(self) -> Network:
        """The same network as it is now: later changes of the module do not reach it."""
        self._current_copies()
        still = copy.copy(self)
        still._follows_module = False
        return still

    def refuse_changed_module(self) -> None:
        """Raise where this is a snapshot, and its module is no longer what it was."""
        if not (self._follows_module or self._copies.is_current(self.module)):
            raise InputError(
                f"{type(self.module).__name__} was changed after this predictor was made of it, so"
                " that a copy would be another predictor; adapt again, or copy it before."
            )

    def __copy__(self) -> Network:
        network = object.__new__(Network)
        vars(network).update(vars(self))
        return network

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy builds its own structural copies, whose layers refer to each other."""
        self.refuse_changed_module()
        return _rebuild, (self.module, self.policy.name, self.fast, self._follows_module)

    def _current_copies(self) -> ModuleCopies:
        """The copies of the module as it is now; built anew where it has changed."""
        copies = self._copies
        if self._follows_module and not copies.is_current(self.module):
            copies = self._copies = ModuleCopies(self.module, self.policy, fast=self.fast)
        return copies

    def state(self, steps: int = 0) -> tuple[Params, Buffers]:
        """The module's tensors now; under `per_step`, statistics have a row for each update."""
        params: Params = dict(self.module.named_parameters())
        buffers = dict(self.module.named_buffers())
        if self.policy.rows:
            for name in self._current_copies().norm_buffers & buffers.keys():
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
        if observer := current_observer():
            return observer(SupportCall(self, params, buffers, inputs, step))
        frame = ForwardFrame(
            source=self.policy.support,
            buffers=buffers,
            fast=self.fast,
            moves=self.policy.moves,
            row=step if self.policy.rows else None,
            training=masks is not None,
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
        if not self._current_copies().norm_layers or not (uses_support or self.policy.rows):
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
            training=masks is not None,
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
        """Random numbers [rows, ...] for inputs of these shapes; (seed, episode, part) decide.

        They are dropout masks and whatever else a forward in training mode draws.
        """
        draws = self.draws(params, buffers, *inputs)
        device = device_of(params)
        return draw_masks(draws, seed=seed, episode=episode, part=part, rows=rows, device=device)

    def draws(self, params: Params, buffers: Buffers, *inputs: Any) -> dict[str, Draw]:
        """What a forward in training mode draws for inputs of these shapes."""
        copies = self._current_copies()
        if not copies.training_layers:
            return {}
        key = shape_key(inputs)
        if key not in copies.draws:
            first_use = FirstUse(self.run, self.module, copies)
            copies.draws[key] = first_use.draws(params, buffers, inputs)
        return copies.draws[key]

    def run(
        self,
        params: Params,
        frame: ForwardFrame,
        inputs: tuple[Any, ...],
        *,
        channels_last: bool | None = None,
    ) -> tuple[Any, Buffers]:
        """One forward of a copy: (output, new buffers). All that it reads is an argument.

        `channels_last` says whether convolutions may put channels last; by default, the check at
        the first use of the network decides.
        """
        copies = self._current_copies()
        if channels_last is None:
            first_use = FirstUse(self.run, self.module, copies)
            channels_last = first_use.layout(params, frame, inputs)
        who = type(self.module).__name__
        tensors = guard(own_tensors(who, params, copies.param_names, "parameter"))
        buffers = own_tensors(who, frame.buffers, copies.buffer_names, "buffer")
        # Clones, for layers may write to buffers. BatchNorm gets its own through the frame.
        cloned = {
            name: value.clone()
            for name, value in buffers.items()
            if name not in copies.frame_buffers
        }
        before = versions(tensors)
        tensors.update(cloned)
        module_copy = copies.take(training=frame.training)
        module_copy.holder.channels_last = channels_last
        draws = (
            MaskedDraws(frame, module_copy.module) if frame.training else contextlib.nullcontext()
        )
        attention = differentiable_attention(copies.may_call_attention)
        with module_copy.holder.hold(frame), attention, draws:
            output = torch.func.functional_call(
                module_copy.module, tensors, inputs, tie_weights=False
            )
        # Not after an error, which may leave a copy with tensors of this call.
        copies.put_back(module_copy, training=frame.training)
        if name := changed_name(tensors, before):
            # Unlike at its first use, the caller's own tensor may have the value that was written.
            advice = (
                " The parameter has the value written: put it back from your last checkpoint. (If"
                " your program changes parameters in another thread, let that thread wait.)"
            )
            raise write_error(who, name, after=advice)
        fresh = {
            name: tensors[name]
            for name, clone in cloned.items()
            if name in copies.buffer_names and (tensors[name] is not clone or clone._version > 0)
        }
        for name, value in fresh.items():
            refuse_complex(name, value, f"a buffer that {type(self.module).__name__} changes")
        return output, {**frame.buffers, **fresh, **frame.fresh}


def _rebuild(module: nn.Module, norm: str, fast: bool, follows_module: bool) -> Network:
    network = Network(module, norm=norm, fast=fast)
    return network if follows_module else network.snapshot()


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

    >>> from torchcross.functional import call
    >>> layer = torch.nn.Linear(3, 2)
    >>> output, buffers = call(layer, dict(layer.named_parameters()), {}, torch.zeros(4, 3))
    >>> output.shape
    torch.Size([4, 2])
    """
    return Network(module, norm=norm).support(params, buffers, *inputs, step=step)
