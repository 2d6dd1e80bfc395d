"""A program for launchers: every rank runs it, the first one leads. It trains what it is told to.

    torchrun --nproc-per-node 2 -m tests.training.launched FOLDER PIECE ...

A piece is a subject, the number of ranks that train it, and what happens to the second one of them
in step 4, such as maml:2 or maml:2:die. What came of the pieces is in FOLDER/outcomes.json.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from tests.training.rank_calls import CHOSEN
from tests.training.subjects import SUBJECTS, Told, magnitude, options
from torchcross.errors import ReadError, TorchcrossError
from torchcross.training import fit
from torchcross.training.world import joined_world

MOMENT = 4


def deed_of(name, machine, marker):
    """What happens to the second rank in a step, once."""

    def told(_self, call, step, _items):
        if call == MOMENT and machine.rank == 1 and not marker.exists():
            marker.touch()
            if name == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ReadError("image 7 is gone")
        return step

    return told


def train(machine, root, subject, deed=""):
    make, data = SUBJECTS[subject]
    algorithm = make().double()
    if deed:
        marker = root / f"{subject}-{deed}.done"
        algorithm = Told(algorithm, deed_of(deed, machine, marker))
    return fit(
        algorithm,
        data(),
        options(**{**CHOSEN, "meta_batch": 12}),
        folder=root / subject,
        validate=magnitude,
        transform=torch.Tensor.double,
        machine=machine,
    )


def do(world, root, piece):
    subject, ranks, *deed = piece.split(":")
    machine = world.machine("cpu", "32", int(ranks))
    return None if machine is None else train(machine, root, subject, *deed)


def lead(world, root, pieces):
    outcomes: dict[str, object] = {}
    for piece in pieces:
        world.announce(piece)
        try:
            result = do(world, root, piece)
            outcomes[piece] = list(result.ranks)
        except TorchcrossError as error:
            outcomes[piece] = f"{type(error).__name__}: {error}"
    (root / "outcomes.json").write_text(json.dumps(outcomes))


def main(root, *pieces):
    torch.set_num_threads(1)
    with joined_world() as world:
        assert world is not None, "this process was launched alone"
        if world.rank == 0:
            lead(world, Path(root), pieces)
        else:
            world.follow(lambda piece: do(world, Path(root), piece))


if __name__ == "__main__":
    main(*sys.argv[1:])
