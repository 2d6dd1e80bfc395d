"""A script runs beside the peers, and its failure says what it said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import PeerError
from benchmarks.peers.child import Arrays
from benchmarks.peers.environment import ROOT
from tests.peers.scripts import written_script

pytestmark = pytest.mark.slow

Run = Callable[..., Arrays]
CONTESTANTS = ROOT / "benchmarks" / "contestants"
PUBLISHED = (
    *("adaptation_published", "pipeline_published", "published_torchcross"),
    *("easyfsl_sampler", "inner_loops_peers", "learn2learn_taskset"),
)


def test_a_script_sees_the_peers_and_not_this_repository(in_peers: Run, tmp_path: Path) -> None:
    body = """
import importlib.metadata, importlib.util, torch
import torchcross.models, higher, learn2learn, torchopt, medimeta
def main(inputs, by):
    x = torch.tensor(inputs["x"], requires_grad=True)
    (g,) = torch.autograd.grad((x ** int(by)).sum(), x)
    alien = importlib.util.find_spec("benchmarks") is not None
    return {"g": g.numpy(), "version": importlib.metadata.version("torchcross"), "alien": alien}
"""
    found = in_peers(written_script(tmp_path, body), 3, x=np.array([1.0, 2.0]))
    np.testing.assert_array_equal(found["g"], [3.0, 12.0])
    assert found["version"] == "0.0.6"
    assert not found["alien"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_contestant_imports_what_it_measures(in_peers: Run, tmp_path: Path, name: str) -> None:
    script = CONTESTANTS / f"{name}.py"
    body = f"""
import runpy
def main(inputs):
    return {{"names": sorted(runpy.run_path({str(script)!r}))}}
"""
    names = in_peers(written_script(tmp_path, body))["names"]
    assert {"contestants", "main"} & set(names.tolist())


def test_a_failure_shows_what_the_script_said(in_peers: Run, tmp_path: Path) -> None:
    failing = written_script(
        tmp_path, "def main(inputs):\n    raise RuntimeError('the peer is unwell')\n"
    )
    with pytest.raises(PeerError, match=r"(?s)script\.py failed .* the peer is unwell"):
        in_peers(failing)
    endless = written_script(tmp_path, "def main(inputs):\n    while True: pass\n")
    with pytest.raises(PeerError, match="stopped after 3 s"):
        in_peers(endless, timeout=3)
