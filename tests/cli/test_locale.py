"""An ASCII locale, and folders whose names are no UTF-8: nothing that is written fails for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.operations import SETTINGS
from torchcross._kit.whole_files import name_as_text, write_whole

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names there are Unicode")

ROOT = Path(__file__).parents[2]
DATA, RUN, PAGE = b"d\xffata\xc3\xa9", b"r\xffun", b"p\xffage"
CHILD = """
import os, sys
from torchcross.cli import main

data, run, page = (os.fsdecode(bytes.fromhex(name)) for name in sys.argv[1:])
for command in (
    ["data", "synth", "--scale", "tiny", "--size", "16", "--only", "oct", "bus", "--out", data],
    ["run", "small.toml", "--data", data, "--out", run, "--quiet", "--jobs", "1"],
    ["verify", run],
    ["report", run, "--out", page],
):
    status = main(command)
    print(command[0], status, flush=True)
"""


@pytest.mark.long
def test_commands_write_in_an_ascii_locale(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SETTINGS.format(folder="replaced"), encoding="utf-8")
    environment = os.environ | {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", CHILD, *(name.hex() for name in (DATA, RUN, PAGE))]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    statuses = [line for line in done.stdout.splitlines() if line.endswith((" 0", " 1", " 2"))]
    assert "Traceback" not in done.stderr
    assert {"data 0", "run 0", "verify 0", "report 0"} <= set(statuses), done.stdout + done.stderr
    run = tmp_path / os.fsdecode(RUN)
    record = json.loads((run / "experiment.json").read_text(encoding="utf-8"))
    assert record["run"] == "r\\xffun"
    # As Python holds this path in the locale that wrote it: every byte beyond ASCII on its own.
    assert record["experiment"]["data"]["folder"] == "d\udcffata\udcc3\udca9"


def test_halves_of_characters_become_escapes(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_whole(path, json.dumps({"folder": "d\udcff é"}, ensure_ascii=False))
    assert path.read_bytes() == b'{"folder": "d\\udcff \xc3\xa9"}'
    assert json.loads(path.read_text(encoding="utf-8")) == {"folder": "d\udcff é"}
    assert name_as_text(Path(os.fsdecode(RUN))) == "r\\xffun"
    assert name_as_text(Path("laufé")) == "laufé"
