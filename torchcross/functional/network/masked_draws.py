"""Random draws of a forward in training mode, answered by numbers that come in with the call.

Numbers are data, drawn outside of the forward from (seed, episode). So a loop over episodes and
lanes under `vmap` see the same ones, and no global generator is touched.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchcross.errors import InputError
from torchcross.functional.network.attention import attention_weights
from torchcross.functional.network.function_bodies import body_of
from torchcross.functional.network.norm_policies import Draw, DrawKind, ForwardFrame
from torchcross.functional.trees import inside_transform


class MaskedDraws(torch.overrides.TorchFunctionMode):
    """Answers the random operations of one forward in training mode."""

    def __init__(self, frame: ForwardFrame, module: nn.Module) -> None:
        super().__init__()
        self._frame, self._module = frame, module

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _REFUSED or (func in _ANSWERS and kwargs.get("generator") is not None):
            self._refuse(func)
        if func in _BODIES:
            # Their draws are inside of them.
            with self:
                return body_of(func)(*args, **kwargs)
        answer = _ANSWERS.get(func)
        if answer is None:
            return func(*args, **kwargs)
        return answer(functools.partial(self._numbers, func.__name__), func, *args, **kwargs)

    def _numbers(
        self, name: str, kind: DrawKind, shape: tuple[int, ...], like: Tensor, rate: float = 0.0
    ) -> Tensor:
        """The numbers of this call, in the type of `like`."""
        draw = Draw(kind, torch.Size(shape), rate)
        numbers = self._frame.numbers(self._frame.call_key(f"{name}()"), draw)
        if numbers is None:
            return torch.full(shape, _PLAIN[kind], dtype=like.dtype, device=like.device)
        return numbers.to(like.dtype)

    def _refuse(self, func: Any) -> NoReturn:
        raise InputError(
            f"{_calling_layer(self._module)} draws random numbers by torch's {func.__name__} in its"
            " forward, where no mask can take their place; use dropout layers, stochastic depth,"
            " torch.rand, torch.randn or torch.bernoulli without a generator of its own, or pass"
            " the noise as an input."
        )


def _calling_layer(module: nn.Module) -> str:
    """The innermost layer whose method is running, by name and class."""
    names = {id(layer): name for name, layer in module.named_modules()}
    frame = sys._getframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, nn.Module) and id(caller) in names:
            return f"layer {names[id(caller)]!r} ({type(caller).__name__})"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return type(module).__name__


# (kind, shape, a tensor of the wanted type, rate) -> numbers
_Numbers: TypeAlias = Callable[..., Tensor]
_PLAIN = {"keep": 1.0, "uniform": 0.5, "normal": 0.0}
"""What stands for numbers while a forward is only watched."""


# -- dropout ---------------------------------------------------------------------------------------


def mask_shape(x: Tensor, batched: int | None) -> tuple[int, ...]:
    """The shape of a mask over whole channels; `batched` is the number of axes with a batch."""
    leading = 1 if batched is not None and x.dim() < batched else 2
    return (*x.shape[:leading], *[1] * (x.dim() - leading))


def _dropout(
    numbers: _Numbers,
    func: Any,
    input: Tensor,  # noqa: A002 (torch's name)
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    train: bool | None = None,
    channelwise: bool = False,
    batched: int | None = None,
    alpha: bool = False,
) -> Tensor:
    if not (training if train is None else train) or p == 0.0:
        return input
    shape = mask_shape(input, batched) if channelwise else tuple(input.shape)
    keep = numbers("keep", shape, input, p)
    output = _keep_variance(input, keep, p) if alpha else scale_kept(input, keep, p)
    return input.copy_(output) if inplace else output


def scale_kept(x: Tensor, keep: Tensor, rate: float) -> Tensor:
    return torch.zeros_like(x) if rate == 1.0 else x * keep / (1.0 - rate)


def _keep_variance(x: Tensor, keep: Tensor, rate: float) -> Tensor:
    """Alpha dropout (Klambauer et al. 2017): a dropped unit has the least value of a SELU.

    An affine map brings mean 0 and variance 1 back.
    """
    if rate == 1.0:
        return torch.zeros_like(x)
    least = -1.7580993408473766
    scale = 1.0 / math.sqrt((least * least * rate + 1.0) * (1.0 - rate))
    return scale * (x * keep + least * (1.0 - keep) - least * rate)


def _rrelu(
    numbers: _Numbers,
    func: Any,
    input: Tensor,  # noqa: A002 (torch's name)
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    if not training:
        return func(input, lower, upper, training)  # type: ignore[no-any-return]
    slope = lower + (upper - lower) * numbers("uniform", tuple(input.shape), input)
    output = torch.where(input <= 0, input * slope, input)
    return input.copy_(output) if inplace else output


def _attention(
    numbers: _Numbers,
    func: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Scaled dot-product attention, with its definition where weights are dropped."""
    if dropout_p == 0.0:
        options = {"scale": scale, "enable_gqa": enable_gqa}
        return func(query, key, value, attn_mask, dropout_p, is_causal, **options)  # type: ignore[no-any-return]
    weights, value = attention_weights(
        query, key, value, attn_mask, is_causal, scale=scale, enable_gqa=enable_gqa
    )
    keep = numbers("keep", tuple(weights.shape), weights, dropout_p)
    return scale_kept(weights, keep, dropout_p) @ value


# -- numbers themselves ----------------------------------------------------------------------------


def _new_numbers(numbers: _Numbers, func: Any, *args: Any, **kwargs: Any) -> Tensor:
    """What `torch.rand` and its like return."""
    kind, factory = _FACTORIES[func]
    kwargs.pop("generator", None)
    like = factory(*args, **kwargs)
    return numbers(kind, tuple(like.shape), like)


def _bernoulli(
    numbers: _Numbers,
    func: Any,
    input: Tensor,  # noqa: A002 (torch's name)
    p: float | None = None,
    generator: None = None,
) -> Tensor:
    if p is not None:
        return numbers("keep", tuple(input.shape), input, 1.0 - p)
    return (numbers("uniform", tuple(input.shape), input) < input).to(input.dtype)


def _fill_bernoulli(
    numbers: _Numbers, func: Any, self: Tensor, p: float | Tensor = 0.5, generator: None = None
) -> Tensor:
    if isinstance(p, Tensor):
        return _fill(self, (numbers("uniform", tuple(self.shape), self) < p).to(self.dtype))
    return _fill(self, numbers("keep", tuple(self.shape), self, 1.0 - p))


def _fill_uniform(
    numbers: _Numbers,
    func: Any,
    self: Tensor,
    a: float = 0.0,
    b: float = 1.0,
    generator: None = None,
    **bounds: float,
) -> Tensor:
    a, b = bounds.get("from", a), bounds.get("to", b)
    return _fill(self, a + (b - a) * numbers("uniform", tuple(self.shape), self))


def _fill_normal(
    numbers: _Numbers,
    func: Any,
    self: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    generator: None = None,
) -> Tensor:
    return _fill(self, mean + std * numbers("normal", tuple(self.shape), self))


def _fill_exponential(
    numbers: _Numbers, func: Any, self: Tensor, lambd: float = 1.0, generator: None = None
) -> Tensor:
    uniform = numbers("uniform", tuple(self.shape), self)
    # Above zero, as torch's: its logarithm is taken next.
    return _fill(self, (-torch.log1p(-uniform)).clamp_min(torch.finfo(self.dtype).tiny) / lambd)


def _fill(place: Tensor, values: Tensor) -> Tensor:
    """Write the values, and return what has them.

    A lane's values do not fit a tensor that all lanes share: they are returned as a new one, and
    the old one must not be read.
    """
    if inside_transform():
        place.fill_(math.nan)
        return values.clone()
    return place.copy_(values)


# -- which functions -------------------------------------------------------------------------------

_channels = functools.partial(_dropout, channelwise=True)
_ANSWERS: dict[Any, Callable[..., Tensor]] = {
    F.dropout: _dropout,
    torch.dropout: _dropout,
    F.dropout1d: functools.partial(_channels, batched=3),
    F.dropout2d: _channels,
    F.dropout3d: functools.partial(_channels, batched=5),
    torch.feature_dropout: _channels,
    F.alpha_dropout: functools.partial(_dropout, alpha=True),
    torch.alpha_dropout: functools.partial(_dropout, alpha=True),
    F.feature_alpha_dropout: functools.partial(_channels, alpha=True),
    torch.feature_alpha_dropout: functools.partial(_channels, alpha=True),
    F.rrelu: _rrelu,
    torch.rrelu: _rrelu,
    F.scaled_dot_product_attention: _attention,
    torch.bernoulli: _bernoulli,
    torch.Tensor.bernoulli: _bernoulli,
    torch.Tensor.bernoulli_: _fill_bernoulli,
    torch.Tensor.uniform_: _fill_uniform,
    torch.Tensor.normal_: _fill_normal,
    torch.Tensor.exponential_: _fill_exponential,
    torch.rand: _new_numbers,
    torch.randn: _new_numbers,
    torch.rand_like: _new_numbers,
    torch.randn_like: _new_numbers,
}
_FACTORIES: dict[Any, tuple[DrawKind, Callable[..., Tensor]]] = {
    torch.rand: ("uniform", torch.empty),
    torch.randn: ("normal", torch.empty),
    torch.rand_like: ("uniform", torch.empty_like),
    torch.randn_like: ("normal", torch.empty_like),
}
_BODIES = frozenset({F.multi_head_attention_forward, F.gumbel_softmax})
"""Functions of torch in Python whose own calls are looked at."""

_REFUSED = frozenset(
    {
        *(F.fractional_max_pool2d, F.fractional_max_pool3d),
        *(F.fractional_max_pool2d_with_indices, F.fractional_max_pool3d_with_indices),
        *(torch.randint, torch.randint_like, torch.randperm, torch.multinomial, torch.poisson),
        *(torch.normal, torch.binomial, torch.native_dropout),
        *(torch.dropout_, torch.feature_dropout_, torch.alpha_dropout_),
        *(torch.feature_alpha_dropout_, torch.rrelu_),
        *(torch.Tensor.multinomial, torch.Tensor.random_, torch.Tensor.geometric_),
        *(torch.Tensor.cauchy_, torch.Tensor.log_normal_),
    }
)
