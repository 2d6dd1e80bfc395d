"""GPUs of a machine, and which unit gets which of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_ROUNDING: Final = 1e-9
"""Three thirds of a device are a device."""


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES has for them."""
    # Late: a coordinator whose units take no GPU needs no torch.
    import torch

    count = torch.cuda.device_count()
    names = os.environ.get(_VISIBLE, "")
    # CUDA stops at the first name that it does not know, so there may be more names than devices.
    numbers = [name.strip() for name in names.split(",")] if names else list(map(str, range(count)))
    return tuple(numbers[:count])


def gpu_of_device(device: str) -> str | None:
    """The GPU that a device such as "cuda:1" means, by the name that CUDA_VISIBLE_DEVICES has.

    None where it means no certain one, or one that is not there.
    """
    kind, _, number = device.partition(":")
    if kind != "cuda" or not number.isdecimal():
        return None
    gpus = visible_gpus()
    return gpus[int(number)] if int(number) < len(gpus) else None


def gpus_for(
    wanted: float, gpus: Sequence[str], used: Mapping[str, float]
) -> tuple[str, ...] | None:
    """The GPUs of a unit that wants so many, or a share of one; None where they are not free.

    `used` is the share of each GPU that other units have. A share goes to the fullest GPU that has
    room for it, so that whole ones stay free.
    """
    if wanted > 1:
        free = [gpu for gpu in gpus if not used.get(gpu)]
        return tuple(free[: int(wanted)]) if len(free) >= wanted else None
    if not wanted:
        return ()
    fitting = [gpu for gpu in gpus if used.get(gpu, 0.0) + wanted <= 1 + _ROUNDING]
    return (max(fitting, key=lambda gpu: used.get(gpu, 0.0)),) if fitting else None


def gpu_settings(gpus: Sequence[str]) -> dict[str, str]:
    """What a process needs in its environment before it imports torch, to see these GPUs alone."""
    return {_VISIBLE: ",".join(gpus)} if gpus else {}
