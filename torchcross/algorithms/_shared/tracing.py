"""Refuses to be traced or compiled, where torch would fail with a misleading text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from torchcross.errors import InputError
from torchcross.functional.network.plain_copy import is_traced


def refuse_tracing() -> None:
    """Raise where torch.compile, torch.jit.trace or an exporter runs the caller."""
    if is_traced() or _is_in_compiled_code():
        raise InputError(
            "torch cannot compile, trace or export a predictor: it runs a pure form of its network."
            " Give predictor.to_module() instead, a plain torch.nn.Module that predicts the same."
        )


def _is_in_compiled_code() -> bool:
    """Whether this runs as usual in code that torch.compile gave up on."""
    # Where the caller raises while it is traced, torch.compile runs it again without tracing.
    compiler: Any = getattr(torch._C, "_dynamo", None)
    frames = getattr(compiler, "eval_frame", None)
    callback: Callable[[], Any] | None = getattr(frames, "get_eval_frame_callback", None)
    return callback is not None and callback() is not None
