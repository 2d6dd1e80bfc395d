"""From the section `machine` to the machine of `fit`; an absent device is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from torchcross.errors import InputError
from torchcross.experiment.settings.schema import MachineSettings
from torchcross.jobs import Resources
from torchcross.jobs.engines.local import usable_cores
from torchcross.training import TorchMachine
from torchcross.training.absent_devices import refuse_absent_device

GB = 1024**3
"""The unit of `machine.memory`, in bytes."""


def machine_of(settings: MachineSettings) -> TorchMachine:
    """The machine for `fit`."""
    try:
        machine = TorchMachine(_device_name(settings), settings.precision)
    except InputError as error:
        raise InputError(
            f"machine.device={settings.device!r} is not a device; give 'auto', 'cpu', 'cuda' or"
            " 'cuda:1'"
        ) from error
    if settings.ranks > 1 and machine.device.index is not None:
        raise InputError(
            f"machine.ranks={settings.ranks} and machine.device={settings.device!r}: each rank has"
            " a GPU of its own; give 'cuda'"
        )
    refuse_absent_device("machine.device", settings.device, machine.device)
    if (
        machine.precision == "bf16-mixed"
        and machine.device.type == "cuda"
        and not torch.cuda.is_bf16_supported()
    ):
        raise InputError("machine.precision='bf16-mixed', which this GPU does not have; give '32'")
    return machine


def machine_elsewhere(settings: MachineSettings, engine: str) -> TorchMachine:
    """The machine of a process whose units are made elsewhere: it needs no device of its own."""
    if settings.device == "auto":
        raise InputError(
            f"machine.device='auto' is what this machine has, and engine {engine!r} computes on"
            " others; say what they have: --device cpu or --device cuda"
        )
    return TorchMachine("cpu")


def device_type(settings: MachineSettings) -> str:
    """The kind of device, such as "cuda": it decides the bits of a number, its index does not."""
    return _device_name(settings).partition(":")[0]


def _device_name(settings: MachineSettings) -> str:
    if settings.device != "auto":
        return settings.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def resources_of(settings: MachineSettings, ranks: int = 1) -> Resources:
    """What a unit takes: for each rank its threads, its memory, and a GPU where it computes on one.

    Several ranks have a whole GPU each.
    """
    gpus = 0.0
    if device_type(settings) == "cuda":
        gpus = settings.gpus if ranks == 1 else float(ranks)
    cores = ranks * settings.threads or usable_cores()
    return Resources(cores, memory=ranks * round(settings.memory * GB), gpus=gpus)


@contextmanager
def own_threads(settings: MachineSettings) -> Iterator[None]:
    """Within the block, torch and numpy compute with as many threads as the settings say.

    The number of threads decides the order of sums, and so the last bits of a row.
    """
    if not settings.threads:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        with threadpool_limits(settings.threads):
            yield
    finally:
        torch.set_num_threads(before)
