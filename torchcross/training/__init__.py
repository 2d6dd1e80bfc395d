"""The training loop: the sole owner of mutation."""

from torchcross.training.feed import Feed
from torchcross.training.log import read_log
from torchcross.training.loop import fit
from torchcross.training.machine import FabricMachine, Machine, TorchMachine
from torchcross.training.options import FitOptions
from torchcross.training.ranks import run_on_ranks
from torchcross.training.result import FitResult, Point
from torchcross.training.running_statistics import renew_statistics
from torchcross.training.tracking import Tracker

__all__ = [
    "FabricMachine",
    "Feed",
    "FitOptions",
    "FitResult",
    "Machine",
    "Point",
    "TorchMachine",
    "Tracker",
    "fit",
    "read_log",
    "renew_statistics",
    "run_on_ranks",
]
