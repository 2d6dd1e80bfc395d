"""Where the networks of a study are trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import torch

from torchcross._kit.surroundings import installed_version, processor_kind
from torchcross.jobs import Resources
from torchcross.training import TorchMachine
from torchcross.training.absent_devices import refuse_absent_device
from torchcross.training.options import check_options

MADE_WITH: Final = "made with"
"""In the file of a part of a study: the processor and the versions that computed it."""
PACKAGES: Final = ("torchcross-fewshot", "torch", "numpy", "scikit-learn")
UNKNOWN: Final = "not known"


@dataclass(frozen=True, kw_only=True)
class StudyMachine:
    """Where a study computes.

    device  "cpu", "cuda", "cuda:1" and so on; "auto": a GPU where there is one
    gpus    of one unit, where the device is a GPU; 0.5: two units share one
    """

    device: str = "auto"
    gpus: float = 1.0

    def __post_init__(self) -> None:
        check_options(self)
        if self.device != "auto":
            TorchMachine(self.device)

    @property
    def torch_device(self) -> torch.device:
        """The device of this process."""
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(name)

    @property
    def device_type(self) -> str:
        """The kind of device, such as "cuda"; its index decides no number."""
        return self.torch_device.type

    def check_here(self) -> None:
        """Refuse a device that this process does not have."""
        refuse_absent_device("device", self.device, self.torch_device)

    def as_sent(self) -> StudyMachine:
        """As a worker needs it, which sees the GPUs that it is to compute on alone."""
        return replace(self, device=self.device.partition(":")[0])

    @property
    def resources(self) -> Resources:
        """What one unit takes."""
        return Resources(gpus=self.gpus if self.torch_device.type == "cuda" else 0.0)

    def processor(self) -> str | None:
        """The kind of processor; None in a process without the GPU that others compute on."""
        device = self.torch_device
        if device.type == "cuda" and not torch.cuda.is_available():
            return None
        return processor_kind(device)

    def surroundings(self) -> dict[str, str]:
        """The processor and the versions that this process computes with."""
        versions = {name: str(installed_version(name)) for name in PACKAGES}
        return {"processor": self.processor() or UNKNOWN, **versions}
