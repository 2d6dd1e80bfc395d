"""What to do where torch cannot differentiate a module as an engine needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torchcross.errors import InputError, TorchcrossError

_ATTENTION = "for attention, run under torch.nn.attention.sdpa_kernel(SDPBackend.MATH)."
_FIRST_ORDER = f"Use engine 'first_order'; {_ATTENTION}"
_OTHER_ENGINE = f"Use engine 'reverse' with lanes='loop', or 'first_order'; {_ATTENTION}"
_NO_CHECKPOINTS = "Turn checkpointing off; engine 'recompute' saves memory instead."
_NO_SCRIPT = "Pass the module that was scripted or spread, not the result."

# Part of torch's message, in lower case: (what the module does, advice). The first match counts.
_REASONS = {
    "stateless api": ("is scripted, or spread over devices, and has no pure form", _NO_SCRIPT),
    "derivative for": ("has an operation without a second derivative", _FIRST_ORDER),
    "trying to differentiate twice": (
        "is differentiated more often than its operations allow",
        _FIRST_ORDER,
    ),
    "jvp function": (
        "has a custom autograd.Function without a forward-mode derivative",
        _OTHER_ENGINE,
    ),
    "'native_batch_norm' is not": (
        "normalises in an operation without a forward-mode derivative",
        _OTHER_ENGINE,
    ),
    "saved tensor hooks": ("runs again in its own backward (checkpointing)", _NO_CHECKPOINTS),
    "checkpoint": (
        "runs again in its own backward (checkpointing), without its parameters",
        _NO_CHECKPOINTS,
    ),
    "vmap": ("cannot run in lanes (torch.func.vmap)", _OTHER_ENGINE),
    "data-dependent control flow": ("cannot run in lanes (torch.func.vmap)", _OTHER_ENGINE),
    "forward ad": ("has an operation without a forward-mode derivative", _OTHER_ENGINE),
    "inplace operation": ("changes a tensor in place that its gradient needs", _OTHER_ENGINE),
    "in-place operation": ("changes a tensor in place that its gradient needs", _OTHER_ENGINE),
    "setup_context": (
        "has a custom autograd.Function that torch.func cannot see through",
        _OTHER_ENGINE,
    ),
}
# Outside lanes this message is an ordinary mistake in shapes.
_REASONS_IN_LANES = {
    "doesn't match the broadcast shape": (
        "writes in place to a tensor that all lanes share",
        _OTHER_ENGINE,
    ),
    **_REASONS,
}


@contextmanager
def explain_torch_errors(episode: str, engine: str, *, in_lanes: bool = False) -> Iterator[None]:
    """Replace torch's errors about derivatives by errors that say what to do."""
    try:
        yield
    # Torch raises NotImplementedError for a derivative that it does not have.
    except (RuntimeError, NotImplementedError) as error:
        reasons = _REASONS_IN_LANES if in_lanes else _REASONS
        text = str(error).lower()
        matches = [reason for part, reason in reasons.items() if part in text]
        if isinstance(error, TorchcrossError) or not matches:
            raise
        what_it_does, advice = matches[0]
        where = " in lanes" if in_lanes else ""
        raise InputError(
            f"{episode}: engine {engine!r}{where} cannot differentiate this module, which"
            f" {what_it_does}: {str(error).splitlines()[0]} {advice}"
        ) from error
