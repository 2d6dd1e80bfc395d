"""Attention by its definition, where second derivatives are taken: fused kernels have none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchcross.functional.network.function_bodies import body_of

_WANTED: ContextVar[bool] = ContextVar("second_derivatives", default=False)


@contextmanager
def second_derivatives(wanted: bool) -> Iterator[None]:
    """While this is open, forwards of this thread may be differentiated more than once."""
    token = _WANTED.set(wanted)
    try:
        yield
    finally:
        _WANTED.reset(token)


def may_call_attention(module: nn.Module) -> bool:
    """Whether a layer is torch's attention, or of a class that neither torch nor we wrote."""
    return any(
        isinstance(layer, nn.MultiheadAttention)
        or not type(layer).__module__.startswith(("torch.", "torchcross."))
        for layer in module.modules()
    )


def differentiable_attention(may_call: bool) -> AbstractContextManager[Any]:
    """For one forward: calls of fused attention become its definition where that is needed."""
    return _DefinedAttention() if may_call and _WANTED.get() else nullcontext()


class _DefinedAttention(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            # It calls the fused attention inside.
            with self:
                return body_of(func)(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            return _without_dropout(func, *args, **kwargs)
        return func(*args, **kwargs)


def _without_dropout(
    func: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    options = {"scale": scale, "enable_gqa": enable_gqa}
    if dropout_p:
        return func(query, key, value, attn_mask, dropout_p, is_causal, **options)
    weights, value = attention_weights(
        query, key, value, attn_mask, is_causal, scale=scale, enable_gqa=enable_gqa
    )
    return weights @ value


def attention_weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    *,
    scale: float | None,
    enable_gqa: bool,
) -> tuple[Tensor, Tensor]:
    """softmax(q k' * scale + mask), and the values that they weigh."""
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (part.repeat_interleave(groups, -3) for part in (key, value))
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ key.transpose(-2, -1) * factor
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
        scores = scores.masked_fill(~seen, -math.inf)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    if attn_mask is None:
        return torch.softmax(scores, -1), value
    # As in torch's kernels, what the mask closes wholly sees nothing.
    is_closed = (scores == -math.inf).all(-1, keepdim=True)
    weights = torch.softmax(scores.masked_fill(is_closed, 0.0), -1)
    return weights.masked_fill(is_closed, 0.0), value
