"""What to do where torch cannot differentiate a module as an engine needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torchcross.errors import InputError, TorchcrossError

_USE_MATH_ATTENTION = "for attention, run under torch.nn.attention.sdpa_kernel(SDPBackend.MATH)."
_OTHER_ENGINE = f"Use engine 'reverse' with lanes='loop', or 'first_order'; {_USE_MATH_ATTENTION}"
_FIRST_ORDER = f"Use engine 'first_order'; {_USE_MATH_ATTENTION}"
_NO_CHECKPOINTS = "Turn checkpointing off; engine 'recompute' saves memory instead."
_NO_SCRIPT = "Pass the module that was scripted or spread, not the result."

_NO_STATELESS_FORM = "is scripted, or spread over devices, and so has no pure form"
_NO_SECOND_DERIVATIVE = "has an operation without a second derivative"
_TOO_MANY_DERIVATIVES = "is differentiated more often than its operations allow"
_NO_FORWARD_MODE = "has an operation without a forward-mode derivative"
_NO_CUSTOM_FORWARD_MODE = "has a custom autograd.Function without a forward-mode derivative"
_NO_NORM_FORWARD_MODE = "normalises in an operation without a forward-mode derivative"
_CHECKPOINTED = "runs again in its own backward (checkpointing)"
_CHECKPOINTED_STATELESS = f"{_CHECKPOINTED}, without its parameters"
_NO_LANES = "cannot run in lanes (torch.func.vmap)"
_IN_PLACE = "changes a tensor in place that its gradient needs"
_OLD_CUSTOM_FUNCTION = "has a custom autograd.Function that torch.func cannot see through"
_SHARED_WRITE = "writes in place to a tensor that all lanes share"

# (part of torch's message in lower case, what the module does, what to do). The first match counts.
_REASONS = (
    ("stateless api", _NO_STATELESS_FORM, _NO_SCRIPT),
    ("derivative for", _NO_SECOND_DERIVATIVE, _FIRST_ORDER),
    ("trying to differentiate twice", _TOO_MANY_DERIVATIVES, _FIRST_ORDER),
    ("jvp function", _NO_CUSTOM_FORWARD_MODE, _OTHER_ENGINE),
    ("'native_batch_norm' is not", _NO_NORM_FORWARD_MODE, _OTHER_ENGINE),
    ("saved tensor hooks", _CHECKPOINTED, _NO_CHECKPOINTS),
    ("checkpoint", _CHECKPOINTED_STATELESS, _NO_CHECKPOINTS),
    ("vmap", _NO_LANES, _OTHER_ENGINE),
    ("data-dependent control flow", _NO_LANES, _OTHER_ENGINE),
    ("forward ad", _NO_FORWARD_MODE, _OTHER_ENGINE),
    ("inplace operation", _IN_PLACE, _OTHER_ENGINE),
    ("in-place operation", _IN_PLACE, _OTHER_ENGINE),
    ("setup_context", _OLD_CUSTOM_FUNCTION, _OTHER_ENGINE),
)
# Outside lanes this message is an ordinary mistake in shapes.
_REASONS_IN_LANES = (("doesn't match the broadcast shape", _SHARED_WRITE, _OTHER_ENGINE), *_REASONS)


@contextmanager
def explain_torch_errors(episode: str, engine: str, *, in_lanes: bool = False) -> Iterator[None]:
    """Replace torch's errors about derivatives by errors that say what to do."""
    try:
        yield
    # Torch raises NotImplementedError for a derivative that it does not have.
    except (RuntimeError, NotImplementedError) as error:
        if isinstance(error, TorchcrossError):
            raise
        text = str(error).lower()
        reasons = _REASONS_IN_LANES if in_lanes else _REASONS
        matches = [(reason, remedy) for part, reason, remedy in reasons if part in text]
        if not matches:
            raise
        reason, remedy = matches[0]
        where = " in lanes" if in_lanes else ""
        raise InputError(
            f"{episode}: engine {engine!r}{where} cannot differentiate this module, which {reason}:"
            f" {str(error).splitlines()[0]} {remedy}"
        ) from error
