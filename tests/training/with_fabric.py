"""A program that launches its ranks with Lightning Fabric itself, and trains on them.

python -m tests.training.with_fabric FOLDER RANKS
"""

import sys
from pathlib import Path

import torch
from lightning.fabric import Fabric

from tests.training.launched import train
from torchcross.training import FabricMachine
from torchcross.training.world import joined_world


def main(root, ranks):
    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", devices=int(ranks), strategy="ddp")
    fabric.launch()
    machine = FabricMachine(fabric)
    results = [train(machine, Path(root), subject) for subject in ("protonet", "multi-task")]
    # A program that follows the first rank finds the ranks that Fabric has launched.
    with joined_world() as world:
        assert world is not None
        assert (world.rank, world.ranks) == (fabric.global_rank, int(ranks))
    if machine.rank == 0:
        Path(root, "ranks").write_text(repr([result.ranks for result in results]))


if __name__ == "__main__":
    main(*sys.argv[1:])
