"""Two ranks on one machine, as forks of one process. Prints what each of them found as JSON.

python -m tests.training.ranked FOLDER
"""

import json
import os
import signal
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from tests.training.subjects import (
    SUBJECTS,
    Recorder,
    Told,
    magnitude,
    options,
    protonet,
    sampler,
)
from torchcross.errors import DivergenceError, InputError
from torchcross.training import fit

RANKS = 2


def listed(algorithm):
    return {
        name: value.double().flatten().tolist() for name, value in algorithm.state_dict().items()
    }


def trained(subject, folder, validate=None, **given):
    make, data = SUBJECTS[subject]
    algorithm = make()
    if distributed.is_initialized() and distributed.get_rank():
        with torch.no_grad():
            for value in algorithm.parameters():
                value.zero_()
    result = fit(algorithm, data(), options(**given), folder=folder, validate=validate)
    return {
        "weights": listed(algorithm),
        "steps": result.steps,
        "best": result.best_step,
        "stopped": result.stopped,
    }


def plain(folder):
    """Every subject, the second rank having other weights at first."""
    return {
        subject: trained(subject, None, meta_batch=4, steps=3, optimiser="sgd")
        for subject in SUBJECTS
    }


def resumed(folder):
    """Score after each step, stop early, go on: with the files of the first rank."""
    chosen = {"meta_batch": 4, "checkpoint_every": 2, "ema": 0.5, "validate_every": 2, "at_once": 1}
    parts = folder / "parts"
    short = trained("multi-task", parts, magnitude, **chosen, steps=3)
    longer = trained("multi-task", parts, magnitude, **chosen, steps=6)
    whole = trained(
        "multi-task",
        folder / "whole",
        lambda algorithm: rank_dependent(algorithm),
        **chosen,
        steps=6,
    )
    return {
        "short": short,
        "longer": longer,
        "whole": whole,
        "files": sorted(path.name for path in parts.iterdir()),
    }


def rank_dependent(algorithm):
    """The first rank's score is the one that counts."""
    return magnitude(algorithm) * (-1 if distributed.get_rank() else 1)


def diverged(folder):
    """Episode 5, the second rank's, is spoilt in the second step."""

    def told(_self, _call, step, items):
        if any(item.plan.index == 5 for item in items):
            raise DivergenceError("the support loss after step 1 is inf")
        return step

    try:
        fit(Told(protonet(), told), sampler(), options(meta_batch=4), folder=folder)
    except DivergenceError as error:
        return str(error)
    return "nothing"


def interrupted(folder):
    """The second rank alone is asked to stop, in its third step."""

    def told(_self, call, step, _items):
        if distributed.get_rank() == 1 and call == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return step

    try:
        fit(Told(protonet(), told), sampler(), options(meta_batch=4), folder=folder)
    except KeyboardInterrupt as error:
        return str(error)
    return "nothing"


def tracked(folder):
    """What a tracker of each rank gets, and another one in a training that fails."""

    def fail(*_):
        raise DivergenceError("on every rank")

    recorder, failing = Recorder(), Recorder()
    fit(protonet(), sampler(), options(meta_batch=4, steps=3), folder=folder, track=recorder)
    with suppress(DivergenceError):
        fit(Told(protonet(), fail), sampler(), options(meta_batch=4), track=failing)
    return {
        "steps": recorder.steps,
        "summaries": recorder.summaries,
        "failures": failing.summaries,
    }


def indivisible(folder):
    try:
        fit(protonet(), sampler(), options(meta_batch=3))
    except InputError as error:
        return str(error)
    return "nothing"


CASES = {
    case.__name__: case for case in (plain, resumed, diverged, interrupted, tracked, indivisible)
}


def one_rank(rank, root):
    store = distributed.FileStore(str(root / "store"), RANKS)  # type: ignore[attr-defined]
    # Where one rank fails, the other is not to wait for ever.
    patience = timedelta(seconds=100)
    distributed.init_process_group(
        "gloo", store=store, rank=rank, world_size=RANKS, timeout=patience
    )
    found = {}
    for name, case in CASES.items():
        (root / name).mkdir(exist_ok=True)
        found[name] = case(root / name)
    distributed.barrier()
    (root / f"rank{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


def main(root):
    torch.set_num_threads(1)
    # Before the forks, so that all that is imported on the way is imported once.
    alone = plain(root)
    children = []
    for rank in range(RANKS):
        child = os.fork()
        if not child:
            one_rank(rank, root)
            os._exit(0)
        children.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert statuses == [0, 0], statuses
    ranks = [json.loads((root / f"rank{rank}.json").read_text()) for rank in range(RANKS)]
    found = json.dumps({"ranks": ranks, "alone": alone})
    (root / "found.json").write_text(found, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
