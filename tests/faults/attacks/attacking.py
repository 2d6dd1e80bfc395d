"""Reads every hostile file in a process of its own, with bounds of time and memory.

python -m tests.faults.attacks.attacking FOLDER      (writes FOLDER/outcomes.json)
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import torch

from tests.faults.attacks.files import ATTACKS, Attack
from torchcross._kit.process_memory import most_resident_bytes
from torchcross.errors import TorchcrossError

SECONDS = 20
LONGEST_MESSAGE = 4000


def outcome_of(attack: Attack, folder: Path) -> dict[str, object]:
    """What came of reading in a forked process: the kind of error, its length, time and memory."""
    folder.mkdir()
    path = attack.make(folder)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        signal.alarm(SECONDS)
        with os.fdopen(writing, "w") as file:
            json.dump(_reading(attack, path), file)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else {"outcome": "killed"}


def _reading(attack: Attack, path: Path) -> dict[str, object]:
    warnings.simplefilter("ignore")
    before, start = _peak(), time.process_time()
    message = ""
    try:
        attack.read(path)
        outcome = "read"
    except TorchcrossError as error:
        outcome, message = "refused", str(error)
    except BaseException:  # noqa: BLE001  # reported by the parent
        outcome, message = "raw", traceback.format_exc()[-2000:]
    megabytes = (_peak() - before) / 2**20
    seconds = time.process_time() - start
    return {
        "outcome": outcome,
        "message": message,
        "length": len(message),
        "seconds": round(seconds, 2),
        "megabytes": round(megabytes, 1),
    }


def _peak() -> int:
    most = most_resident_bytes()
    assert most is not None
    return most


def main(root: Path) -> None:
    torch.set_num_threads(1)
    outcomes = {
        name: outcome_of(attack, root / f"attack {number}")
        for number, (name, attack) in enumerate(ATTACKS.items())
    }
    (root / "outcomes.json").write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
