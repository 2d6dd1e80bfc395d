"""Features whose making was stopped: by a kill, by an error, by a full disk."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import torchcross as tx
from tests.embedding.sources import IMAGES, Counting, blocks_of, numbered_source
from torchcross.data import FeatureSource, TensorSource
from torchcross.data.sources import feature_writing
from torchcross.embedding import Embedding
from torchcross.embedding.forward import BLOCK
from torchcross.errors import WriteError

ROOT = Path(__file__).parents[2]
ALL = np.arange(IMAGES)

PROGRAM = """
import os, signal, sys
import torchcross as tx
from tests.embedding.sources import Counting, numbered_source

class Deadly(Counting):
    def forward(self, images):
        if self.calls.count(64) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(images)

Deadly.__name__ = "Counting"
tx.features(numbered_source(), Deadly(), sys.argv[1])
"""


def only_file(folder: Path) -> Path:
    (file,) = folder.glob("*.safetensors")
    return file


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_is_killed_leaves_what_the_next_one_goes_on_from(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, check=False, timeout=120
    )
    assert killed.returncode < 0
    assert not list(tmp_path.glob("*.safetensors"))
    net = Counting()
    features = tx.features(numbered_source(), net, tmp_path)
    # The first block says how wide features are; the second one is there.
    assert blocks_of(net) == [BLOCK, IMAGES - 2 * BLOCK]
    assert torch.equal(features.read(ALL), tx.features(numbered_source(), Counting()).read(ALL))
    undisturbed = tmp_path / "undisturbed"
    tx.features(numbered_source(), Counting(), undisturbed)
    assert only_file(tmp_path).read_bytes() == only_file(undisturbed).read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name != "undisturbed"] == [
        only_file(tmp_path).name
    ]


class Failing(Counting):
    """Fails once, at the third block."""

    def forward(self, images: Tensor) -> Tensor:
        if self.calls.count(BLOCK) == 2 and 0 not in self.calls:
            self.calls.append(0)
            raise RuntimeError("no more")
        return super().forward(images)


def test_after_an_error_the_blocks_that_are_done_stay(tmp_path: Path) -> None:
    net = Failing()
    with pytest.raises(tx.errors.InputError, match="no more"):
        tx.features(numbered_source(), net, tmp_path)
    assert blocks_of(net) == [BLOCK, BLOCK]
    tx.features(numbered_source(), net, tmp_path)
    assert blocks_of(net) == [BLOCK, BLOCK, BLOCK, IMAGES - 2 * BLOCK]


def test_a_half_written_block_is_made_again(tmp_path: Path) -> None:
    embedding = Embedding(numbered_source(), Counting())
    whole, part = tmp_path / "whole", tmp_path / "part"
    embedding.write(part, whole)
    content = bytearray(whole.read_bytes())
    start = len(content) - 5
    content[start : start + 4] = bytes(4)
    part.write_bytes(content)
    net = Counting()
    Embedding(numbered_source(), net).write(part, tmp_path / "again")
    assert blocks_of(net) == [BLOCK, IMAGES - 2 * BLOCK]
    assert (tmp_path / "again").read_bytes() == whole.read_bytes()


def test_blocks_of_images_that_have_changed_are_made_again(tmp_path: Path) -> None:
    """Those two images are none of the 64 that the source is known by."""
    source, part = numbered_source(), tmp_path / "part"
    Embedding(source, Counting()).write(part, tmp_path / "whole")
    images = source.read(ALL)
    images[[1, 65]] += 0.5
    changed = TensorSource(images, source.labels, source.task, name=source.name)
    (tmp_path / "whole").rename(part)
    net = Counting()
    embedding = Embedding(changed, net)
    embedding.write(part, tmp_path / "again")
    assert blocks_of(net) == [BLOCK, BLOCK]
    features = FeatureSource(changed, tmp_path / "again")
    assert features.read([1, 2, 65])[:, 0].tolist() == [1.5, 2, 65.5]
    features.check_all_images(changed)


@pytest.mark.parametrize("change", ["other weights", "cut off", "foreign"])
def test_what_another_attempt_left_is_not_used_where_it_does_not_fit(
    tmp_path: Path, change: str
) -> None:
    part, net = tmp_path / "part", Counting()
    Embedding(numbered_source(), net).write(part, tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    part.write_bytes({"cut off": content[:-9], "foreign": b"?" * 99}.get(change, content))
    if change == "other weights":
        with torch.no_grad():
            net.factor += 1
    net.calls.clear()
    Embedding(numbered_source(), net).write(part, tmp_path / "again")
    assert blocks_of(net) == [BLOCK, BLOCK, IMAGES - 2 * BLOCK]
    same = (tmp_path / "again").read_bytes() == content
    assert same == (change != "other weights")


class _FullDisk:
    """A file on a disk that is full after so many writes."""

    def __init__(self, file: Any, writes: int) -> None:
        self._file, self._writes = file, writes

    def write(self, data: Any) -> int:
        self._writes -= 1
        if self._writes < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written: int = self._file.write(data)
        return written

    def __enter__(self) -> _FullDisk:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_full_disk_is_an_error_and_what_is_done_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Path.open

    def open_on_full_disk(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        file = usual(path, mode, *more, **options)
        wanted = path.name.endswith(".unfinished") and "w" in mode
        # The header, and two blocks and their digests.
        return _FullDisk(file, 5) if wanted else file

    with monkeypatch.context() as context:
        context.setattr(feature_writing.Path, "open", open_on_full_disk)
        with pytest.raises(WriteError, match=r"No space left.* make room.* blocks .* stay"):
            tx.features(numbered_source(), Counting(), tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
    net = Counting()
    tx.features(numbered_source(), net, tmp_path)
    assert len(blocks_of(net)) == 2
