"""Where there is no room for a file, the cell or the run that needs it fails and says so."""

import errno
import os
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.experiment.failures.failing_runs import (
    TARGETS,
    check,
    failures,
    goes_on,
    gone,
    mend,
    rows,
)
from torchcross.errors import WriteError
from torchcross.experiment.run import runner

pytestmark = pytest.mark.slow


@pytest.fixture
def full(monkeypatch):
    """From now on there is no room for files of that name."""
    plain = Path.replace

    def now(pattern):
        def replace(self, target):
            if fnmatch(Path(target).name, pattern):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return plain(self, target)

        monkeypatch.setattr(Path, "replace", replace)

    return now


@pytest.mark.long
@pytest.mark.parametrize(
    ("pattern", "failed"),
    [
        ("ncm-seed_0-5_shots-*.csv", [("ncm", target) for target in TARGETS]),
        ("ncm-seed_0-5_shots-*.npz", [("ncm", target) for target in TARGETS]),
        ("checkpoint-00000003.safetensors", [("protonet", target) for target in TARGETS]),
        ("weights.safetensors", [("protonet", target) for target in TARGETS]),
        ("training.json", [("protonet", target) for target in TARGETS]),
    ],
)
def test_no_room_for_a_file(root, clean, run, full, monkeypatch, pattern, failed):
    full(pattern)
    status, err = run()
    check(root, clean, failed, status, err, "No space left on device")
    monkeypatch.undo()
    goes_on(root, clean, run)


@pytest.mark.long
def test_no_room_for_what_failed(root, clean, run, full, monkeypatch):
    gone(root / "data" / "bus")
    full("failures.json")
    for more in ((), ("--quiet",)):
        status, err = run(*more)
        assert status == 2
        last = err.splitlines()[-1]
        assert last.startswith("torchcross: error: ")
        assert "failures.json cannot be written (No space left on device)" in last
        assert "no images" in last
        assert "Traceback" not in err
    done = rows(root)
    assert done.items() <= rows(clean).items()
    assert len(done) == 2
    monkeypatch.undo()
    assert run()[0] == 1
    assert len(failures(root)) == 3
    mend(root, clean, "bus")
    goes_on(root, clean, run)


@pytest.mark.long
def test_room_that_is_there_again_at_the_end(root, clean, run, monkeypatch):
    plain, calls = runner.RunFolder.write_failures, []

    def write(folder, told):
        calls.append(1)
        if len(calls) == 1:
            raise WriteError("no room")
        plain(folder, told)

    monkeypatch.setattr(runner.RunFolder, "write_failures", write)
    status, err = run()
    assert (status, failures(root)) == (0, {})
    assert err.count("failed: no room") == 1


@pytest.mark.long
@pytest.mark.parametrize("pattern", ["report.html", "table.md", "*"])
def test_no_room_for_the_page_or_for_anything(root, clean, run, full, monkeypatch, pattern):
    full(pattern)
    status, err = run()
    assert status == 2
    assert err.splitlines()[-1].startswith("torchcross: error: ")
    assert "No space left on device" in err
    assert "Traceback" not in err
    monkeypatch.undo()
    assert run()[0] == 0
    goes_on(root, clean, run)
