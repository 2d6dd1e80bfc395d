"""What ranks do in tests. New processes import these functions, so they stand apart from tests."""

import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch import distributed

from tests.training.subjects import SUBJECTS, Told, magnitude, options, protonet, sampler
from torchcross._kit.lock import lock_folder
from torchcross.errors import RankError, ReadError, WriteError
from torchcross.training import fit, read_log
from torchcross.training.agreement import together
from torchcross.training.checkpoints import Checkpoints
from torchcross.training.world import joined_world

CHOSEN = {
    "steps": 6,
    "meta_batch": 4,
    "clip": 1.0,
    "ema": 0.5,
    "validate_every": 1,
    "checkpoint_every": 2,
}


def rank():
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_last_rank():
    return not distributed.is_initialized() or rank() == distributed.get_world_size() - 1


def curve(subject, folder, validate=magnitude, **given):
    """Train in float64: the losses, norms and scores of all steps, and the weights."""
    make, data = SUBJECTS[subject]
    algorithm = make().double()
    result = fit(
        algorithm,
        data(),
        options(**{**CHOSEN, **given}),
        folder=folder,
        validate=validate,
        transform=torch.Tensor.double,
    )
    # The others may be here before the first rank has written its last row.
    rows = read_log(folder) if rank() == 0 else []
    return {
        "rows": [list(row) for row in rows],
        "weights": {
            name: value.flatten().tolist() for name, value in algorithm.state_dict().items()
        },
        "stopped": result.stopped,
        "ranks": result.ranks,
    }


def curves(root):
    """Whole trainings, one that stops early, parts that others begin and continue."""
    root = Path(root)
    found = {subject: curve(subject, root / subject) for subject in SUBJECTS}
    found["early"] = curve("protonet", root / "early", lambda one: -magnitude(one), patience=2)
    found["begun elsewhere"] = curve("maml", root / "begun elsewhere")
    found["begun here"] = curve("maml", root / "begun here", steps=3)
    found["threads"] = [torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")]
    if distributed.is_initialized():
        found["failures"] = {
            name: failure(case, root / name)
            for name, case in {
                "read": failing_read,
                "write": failing_write,
                "validate": failing_validate,
                "lock": failing_lock,
            }.items()
        }
    (root / f"rank{rank()}.json").write_text(json.dumps(found))
    return found


def failure(case, folder):
    folder.mkdir(exist_ok=True)
    try:
        case(folder)
    except Exception as error:  # noqa: BLE001 - it is what the test looks at
        return [type(error).__name__, str(error)]
    return ["nothing"]


def failing_read(folder):
    """The second rank cannot read its part of the third step."""

    def told(_self, call, step, _items):
        if rank() == 1 and call == 3:
            raise ReadError("image 7 is gone")
        return step

    fit(Told(protonet(), told), sampler(), options(), folder=folder)


def failing_write(folder):
    """The disk of the first rank is full at the checkpoint of step 4."""
    save = Checkpoints.save

    def full(self, tensors, position, identity):
        if position.step == 4:
            raise WriteError("no space left")
        save(self, tensors, position, identity)

    with patch.object(Checkpoints, "save", full):
        fit(protonet(), sampler(), options(checkpoint_every=2), folder=folder)


def failing_validate(folder):
    def validate(_algorithm):
        if rank() == 1:
            raise ZeroDivisionError("no queries")
        return 1.0

    fit(protonet(), sampler(), options(validate_every=2), folder=folder, validate=validate)


def failing_lock(folder):
    """Somebody else trains in the folder."""
    if rank():
        fit(protonet(), sampler(), options(), folder=folder)
    with lock_folder(folder):
        fit(protonet(), sampler(), options(), folder=folder)


def lead_and_follow(folder):
    """Of two ranks the first one leads. In the second piece the other one fails, and so do both."""
    done: list[tuple[str, bool]] = []

    def act(piece):
        assert world is not None
        machine = world.machine("cpu", "32", int(piece))
        done.append((piece, machine is not None))
        if machine is None:
            return
        with together(machine):
            if piece == "2" and rank() == 1:
                raise ReadError("image 7 is gone")

    with joined_world() as world:
        assert world is not None
        if world.rank == 0:
            for piece in ("1", "2", "1"):
                world.announce(piece)
                with suppress(RankError):
                    act(piece)
        else:
            world.follow(act)
    Path(folder, f"done{rank()}.json").write_text(json.dumps(done))


# -- deaths, errors and requests -------------------------------------------------------------------


def raise_alone(which):
    """One rank raises, and the others wait for it."""
    if rank() == which:
        raise KeyError("who")
    distributed.all_reduce(torch.zeros(1))


def hang_while_one_dies(which, marker):
    """The others hang in no collective: nothing tells them that one is gone."""
    distributed.barrier()
    if rank() == which:
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def train(folder, steps, deed, at):
    """`deed` happens to the last rank in step `at`, once; other than that, an ordinary training."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    (folder / f"process{rank()}").write_text(str(os.getpid()))

    def told(_self, call, step, _items):
        marker = folder / "done"
        if call == at and is_last_rank() and not marker.exists():
            marker.touch()
            DEEDS[deed]()
        return replace(step)

    algorithm = protonet().double()
    result = fit(
        Told(algorithm, told),
        sampler(),
        options(**{**CHOSEN, "steps": steps, "validate_every": None}),
        folder=folder / "training",
        transform=torch.Tensor.double,
    )
    return result.ranks


DEEDS = {
    "die": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "ask": lambda: os.kill(os.getppid(), signal.SIGINT),
    "nothing": lambda: None,
}
