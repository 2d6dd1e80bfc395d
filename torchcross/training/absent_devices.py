"""A device that this process does not have is refused before anything is made on it."""

from __future__ import annotations

import torch

from torchcross.errors import InputError


def refuse_absent_device(setting: str, name: str, device: torch.device) -> None:
    """Raise an InputError where nothing can be computed on `device` here.

    `setting` and `name` are what the device was given by, for the error.
    """
    here = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"{setting}={name!r} is not here; there are {', '.join(here)}")
    try:
        torch.zeros(1, device=device).sum().item()
    # What torch raises for an absent backend depends on how torch was built.
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        reason = str(error).partition(". ")[0].partition("\n")[0][:200]
        raise InputError(
            f"{setting}={name!r} cannot be used here ({reason}); there are {', '.join(here)}"
        ) from error
