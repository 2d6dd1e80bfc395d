"""What a network is asked at its first use: forwards whose results are compared, and not used.

Is it a pure function of its arguments, what does it draw in training mode, and may the channels of
its images be last?
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn

from torchcross.errors import InputError
from torchcross.functional.network.checks import have_same_values, refuse_impurity
from torchcross.functional.network.kept_tensors import refuse_state
from torchcross.functional.network.module_copies import ModuleCopies
from torchcross.functional.network.norm_policies import Draw, ForwardFrame
from torchcross.functional.network.random_draws import refuse_random_draws
from torchcross.functional.network.training_mode import (
    may_hide_a_mode,
    refuse_hidden_mode,
    refuse_other_structure,
    without_zeros,
)
from torchcross.functional.trees import Buffers, Params, device_of, inside_transform

Run: TypeAlias = Callable[..., tuple[Any, Buffers]]
"""`Network.run`."""


@dataclass(frozen=True)
class FirstUse:
    """The checks of a module with these copies; what they find is kept with the copies."""

    run: Run
    module: nn.Module
    copies: ModuleCopies

    def layout(self, params: Params, frame: ForwardFrame, inputs: tuple[Any, ...]) -> bool:
        """Whether channels may be last for such inputs; the network is checked before."""
        copies = self.copies
        if inside_transform():
            self._refuse_lanes()
            return True
        if not copies.is_checked:
            self._check(params, frame, inputs)
            copies.is_checked = True
        layout = copies.layout_of(inputs)
        if layout is None:
            return True
        if layout not in copies.layouts:
            outputs = [
                self._output(frame, inputs, params, channels_last=is_last)
                for is_last in (False, True)
            ]
            copies.layouts[layout] = have_same_values(*outputs)
            if outputs[1] is not None and not copies.layouts[layout]:
                copies.lane_fault = copies.lane_fault or "layout"
        return copies.layouts[layout]

    @torch.no_grad()
    def draws(
        self,
        params: Params,
        buffers: Buffers,
        inputs: tuple[Any, ...],
        channels_last: bool | None = None,
    ) -> dict[str, Draw]:
        """What one forward in training mode draws; it is compared with evaluation mode."""
        who, results = type(self.module).__name__, []
        still = ForwardFrame(source="own", buffers=buffers, draws={})
        evaluation = self.run(params, still, inputs, channels_last=channels_last)

        def forward() -> None:
            frame = dataclasses.replace(still, training=True).restart()
            output = self.run(params, frame, inputs, channels_last=channels_last)
            results.append((output, frame.draws or {}))

        refuse_random_draws(forward, who, device_of(params))
        if self.copies.kept_attribute():
            self.copies.use_once()
        training, draws = results[-1]
        refuse_other_structure(who, training[0], evaluation[0])
        if not self.copies.training_layers:
            refuse_hidden_mode(who, training, evaluation, draws)
        return draws

    def _check(self, params: Params, frame: ForwardFrame, inputs: tuple[Any, ...]) -> None:
        copies = self.copies

        def forward(copies: Params) -> Any:
            return self._output(frame, inputs, copies)

        copies.lane_fault = refuse_impurity(forward, self.module, params)
        if attribute := copies.kept_attribute():
            outputs = [forward(params) for _ in range(2)]
            refuse_state(type(self.module).__name__, attribute, *outputs)
            copies.use_once()
        if not copies.training_layers and may_hide_a_mode(self.module):
            own = {name: params[name] for name in copies.param_names}
            self.draws(without_zeros(own), frame.buffers, inputs, channels_last=False)

    def _refuse_lanes(self) -> None:
        who, fault = type(self.module).__name__, self.copies.lane_fault
        if fault == "data":
            raise InputError(
                f"{who} reads `.data` of a tensor in its forward, and torch.func takes it for the"
                " tensor itself: results in lanes would not be those of the loop. Write"
                " `.detach()` in its place, or use lanes='loop'."
            )
        if fault == "layout":
            raise InputError(
                f"{who} reads in its forward how a tensor lies in memory (`as_strided`, `stride()`"
                " or `is_contiguous()`), which is another in lanes: results would not be those of"
                " the loop. Write `reshape`, `unfold` or indices in its place, or use lanes='loop'."
            )

    @torch.no_grad()
    def _output(
        self,
        frame: ForwardFrame,
        inputs: tuple[Any, ...],
        params: Params,
        *,
        channels_last: bool = False,
    ) -> Any:
        """The output of a forward whose results are not used; None where the layout is refused."""
        try:
            return self.run(params, frame.restart(), inputs, channels_last=channels_last)[0]
        except RuntimeError as error:
            if not channels_last or "view size is not compatible" not in str(error):
                raise
            return None
