"""From the section `machine` to where trainings run; a device that is not there is refused before
anything runs.
"""

from __future__ import annotations

import torch

from torchcross.errors import InputError
from torchcross.experiment.settings.schema import Machine
from torchcross.training import TorchMachine

__all__ = ["device_type", "machine_of"]


def machine_of(section: Machine) -> TorchMachine:
    """The machine for `fit`."""
    try:
        machine = TorchMachine(_named(section), section.precision)
    except InputError as error:
        raise InputError(
            f"machine.device={section.device!r} is no device; give 'auto', 'cpu', 'cuda' or"
            " 'cuda:1'"
        ) from error
    _refuse_absent(section, machine.device)
    if (
        machine.precision == "bf16-mixed"
        and machine.device.type == "cuda"
        and not torch.cuda.is_bf16_supported()
    ):
        raise InputError("machine.precision='bf16-mixed', which this GPU does not know; give '32'")
    return machine


def device_type(section: Machine) -> str:
    """What decides the bits of a number: "cpu", "cuda" and so on. Which of several equal ones does
    not.
    """
    return _named(section).partition(":")[0]


def _named(section: Machine) -> str:
    if section.device != "auto":
        return section.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _refuse_absent(section: Machine, device: torch.device) -> None:
    here = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"machine.device={section.device!r} is not here; there are {', '.join(here)}"
        )
    try:
        torch.zeros(1, device=device).sum().item()
    # What torch raises depends on how it was built: an absent backend is any of these.
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        reason = str(error).partition(". ")[0].partition("\n")[0][:200]
        raise InputError(
            f"machine.device={section.device!r} cannot be used here ({reason}); there are"
            f" {', '.join(here)}"
        ) from error
