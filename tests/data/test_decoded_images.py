"""A folder's images from a cache: the same bytes as without, whatever changes, in any process."""

from __future__ import annotations

import logging
import os
import pickle
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import torchcross as tx
from tests.medimeta.convert_cases import DEEP
from torchcross._kit.lock import acquire_lock
from torchcross.data.sources import decoded_file, image_reading
from torchcross.data.sources.decoded_images import decode_image
from torchcross.data.sources.flattening import OnRemark, Remark
from torchcross.errors import ReadError, SourceError, TorchcrossWarning

EVERY = np.arange(6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images of several sizes and modes."""
    draws = np.random.default_rng(0)
    for place, mode in enumerate(("RGB", "L", "RGBA", "RGB", "L", "RGB")):
        path = tmp_path / "pets" / ("cat", "dog")[place % 2] / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (20 + place, 30, {"L": 1, "RGB": 3, "RGBA": 4}[mode])
        pixels = draws.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels.squeeze()).save(path)
    return tmp_path / "pets"


@pytest.fixture(params=["memory", "file"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    return "memory" if request.param == "memory" else tmp_path / "pets.cache"


def plain(folder: Path, **options: object) -> torch.Tensor:
    return tx.ImageFolderSource(folder, **{"size": 16, **options}).read(EVERY)  # type: ignore[arg-type]


def source_of(folder: Path, cache: object, **options: object) -> tx.ImageFolderSource:
    return tx.ImageFolderSource(folder, cache=cache, **{"size": 16, **options})  # type: ignore[arg-type]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by one for each image that is decoded."""
    reads: list[object] = []
    genuine = image_reading.image_tensor

    def counted(*given: object) -> torch.Tensor:
        reads.append(given)
        return genuine(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(image_reading, "image_tensor", counted)
    return reads


def test_the_bytes_are_the_same_and_each_image_is_decoded_once(
    folder: Path, cache: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for options in ({}, {"mode": "L"}, {"size": (8, 12)}, {"background": "black"}):
        expected = plain(folder, **options)
        source = source_of(folder, cache, **options)
        with monkeypatch.context() as patch:
            reads = count_reads(patch)
            shuffled = np.array([3, 0, 3, 5])
            assert torch.equal(source.read(shuffled), expected[shuffled])
            for _ in range(3):
                assert torch.equal(source.read(EVERY), expected)
            assert len(reads) == 6
    assert source.read(EVERY).dtype == torch.uint8
    assert len(source.read([])) == 0


def test_a_file_is_used_by_the_next_source(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = source_of(folder, tmp_path / "c").read(EVERY)
    reads = count_reads(monkeypatch)
    again = source_of(folder, str(tmp_path / "c"))
    assert torch.equal(again.read(EVERY), expected)
    assert torch.equal(pickle.loads(pickle.dumps(again)).read(EVERY), expected)
    moved = folder.rename(tmp_path / "moved")
    assert torch.equal(source_of(moved, tmp_path / "c").read(EVERY), expected)
    assert not reads
    assert [path.name for path in tmp_path.glob("c*")] in (["c", "c.lock"], ["c.lock", "c"])


def test_a_file_that_changed_is_decoded_again_and_no_other(
    folder: Path, cache: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(folder, cache)
    before = source.read(EVERY)
    changed = folder / "dog" / "1.png"
    Image.new("RGB", (9, 9), (1, 2, 3)).save(changed)
    expected = plain(folder)
    assert not torch.equal(before, expected)
    assert torch.equal(source.read(EVERY), expected)
    reads = count_reads(monkeypatch)
    assert torch.equal(source_of(folder, cache).read(EVERY), expected)
    assert len(reads) == (6 if cache == "memory" else 1)


def test_a_file_of_the_same_size_and_another_time_is_decoded_again(
    folder: Path, cache: object
) -> None:
    path = folder / "cat" / "0.bmp"
    Image.new("RGB", (4, 4), "red").save(path)
    source = tx.ImageFolderSource(folder, size=4, cache=cache)  # type: ignore[arg-type]
    place = [each.name for each in source.paths].index("0.bmp")
    assert source.read([place])[0, :, 0, 0].tolist() == [255, 0, 0]
    Image.new("RGB", (4, 4), "blue").save(path)
    os.utime(path, ns=(1, 1))
    assert source.read([place])[0, :, 0, 0].tolist() == [0, 0, 255]


def test_another_list_of_files_is_another_cache(folder: Path, cache: object) -> None:
    source_of(folder, cache).read(EVERY)
    (folder / "cat" / "0.png").rename(folder / "dog" / "0.png")
    source = source_of(folder, cache)
    assert torch.equal(source.read(EVERY), plain(folder))


def test_files_that_are_alike_but_for_their_names_are_not_taken_for_each_other(
    folder: Path, cache: object
) -> None:
    """Of an archive, they have one time."""
    for name, colour in (("6", "red"), ("7", "blue")):
        Image.new("RGB", (4, 4), colour).save(folder / "cat" / f"{name}.bmp")
        os.utime(folder / "cat" / f"{name}.bmp", ns=(1, 1))
    source_of(folder, cache).read(range(8))
    (folder / "cat" / "6.bmp").rename(folder / "cat" / "8.bmp")
    expected = tx.ImageFolderSource(folder, size=16).read(range(8))
    assert torch.equal(source_of(folder, cache).read(range(8)), expected)


def test_only_the_image_that_cannot_be_read_is_an_error(folder: Path, cache: object) -> None:
    broken = folder / "dog" / "3.png"
    broken.write_bytes(b"no image")
    source = source_of(folder, cache)
    place = source.paths.index(broken)
    others = np.delete(EVERY, place)
    expected = tx.ImageFolderSource(folder, size=16).read(others)
    assert torch.equal(source.read(others), expected)
    for _ in range(2):
        with pytest.raises(ReadError, match=rf"could not read sample {place}, file .*3\.png"):
            source.read([place])
    broken.unlink()
    with pytest.raises(ReadError, match="No such file"):
        source.read([place])


def test_a_picture_that_becomes_one_colour_is_warned_of_each_time(
    folder: Path, cache: object
) -> None:
    ghost = Image.new("RGBA", (9, 9), (255, 255, 255, 0))
    ghost.putpixel((4, 4), (255, 255, 255, 255))
    ghost.save(folder / "cat" / "0.png")
    for _ in range(2):
        source = source_of(folder, cache)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            source.read([1])
        with pytest.warns(TorchcrossWarning, match=r"sample 0, file .*0\.png.* one colour"):
            source.read([0])


def test_the_bits_are_part_of_what_is_cached_and_a_depth_in_doubt_is_warned_of(
    folder: Path, cache: object
) -> None:
    values = np.linspace(0, 4095, 600).round().reshape(20, 30).astype(np.uint16)
    Image.fromarray(values).save(folder / "cat" / "0.png")
    for _ in range(2):
        with pytest.warns(TorchcrossWarning, match=r"sample 0, file .*0\.png,.* give --bits 12 "):
            dark = source_of(folder, cache).read([0])
    for bits in (12, 16, 12):
        source = source_of(folder, cache, bits=bits)
        assert torch.equal(source.read(EVERY), plain(folder, bits=bits))
    assert dark.max() == 16
    assert source.read([0]).max() > 200


def test_channels_that_lose_bits_are_warned_of_each_time(folder: Path, cache: object) -> None:
    (folder / "cat" / "0.png").write_bytes(DEEP["rgb"])
    for _ in range(2):
        with pytest.warns(TorchcrossWarning, match="more than 8 bits for each channel"):
            source_of(folder, cache).read([0])


def test_all_that_must_be_said_of_an_image_is() -> None:
    def decode(place: int, on_remark: OnRemark) -> torch.Tensor:
        on_remark(Remark(is_deep=True, loses_bits=True))
        on_remark(Remark(one_colour=True))
        return torch.zeros(3, 4, 4, dtype=torch.uint8)

    assert decode_image(0, decode)[1] == Remark(one_colour=True, is_deep=True, loses_bits=True)


def _read(given: tuple[tx.ImageFolderSource, int]) -> bytes:
    source, seed = given
    order = np.random.default_rng(seed).permutation(6)
    return bytes(source.read(order)[np.argsort(order)].numpy().tobytes())


@pytest.mark.long
def test_several_processes_share_one_cache(folder: Path, cache: object) -> None:
    expected = plain(folder).numpy().tobytes()
    source = source_of(folder, cache)
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        given = [(source, seed) for seed in range(6)]
        assert set(pool.map(_read, given)) == {expected}


def test_while_another_process_makes_the_file_images_are_decoded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c"
    lock = acquire_lock(tmp_path / "c.lock")
    assert lock is not None
    source, expected = source_of(folder, file), plain(folder)
    assert torch.equal(source.read(EVERY), expected)
    assert not file.exists()
    lock.release()
    source_of(folder, file).read([0])
    reads = count_reads(monkeypatch)
    assert torch.equal(source.read(EVERY), expected)
    assert not reads


def test_who_cannot_make_the_file_looks_for_it_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each image: all files are looked at before the file is used."""
    tries: list[Path] = []
    monkeypatch.setattr(decoded_file, "acquire_lock", tries.append)
    source_of(folder, tmp_path / "c").read(EVERY)
    assert tries == [tmp_path / "c.lock"]


def test_a_file_that_another_process_made_meanwhile_is_not_made_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = count_reads(monkeypatch)
    with monkeypatch.context() as patch:

        def made_meanwhile(path: Path) -> object:
            patch.undo()
            source_of(folder, tmp_path / "c").read([0])
            return acquire_lock(path)

        patch.setattr(decoded_file, "acquire_lock", made_meanwhile)
        source_of(folder, tmp_path / "c").read(EVERY)
    assert len(reads) == 6


def test_an_image_that_cannot_be_read_does_not_make_the_file_anew_each_time(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "dog" / "3.png").write_bytes(b"no image")
    source_of(folder, tmp_path / "c").read([0])
    os.utime(tmp_path / "c", ns=(1, 1))
    source_of(folder, tmp_path / "c").read([0])
    assert (tmp_path / "c").stat().st_mtime_ns == 1


def test_a_damaged_file_forgets_no_warning(folder: Path, tmp_path: Path) -> None:
    (folder / "cat" / "0.png").write_bytes(DEEP["rgb"])
    for _ in range(2):
        with pytest.warns(TorchcrossWarning, match="more than 8 bits for each channel"):
            source_of(folder, tmp_path / "c").read([0])
        content = bytearray((tmp_path / "c").read_bytes())
        # The flags of the first of six rows of 21 bytes, which stand before the SHA-256.
        content[-32 - 5 * 21 - 1] = 1
        (tmp_path / "c").write_bytes(content)


@pytest.mark.parametrize("harm", ["cut", "pixel", "trailer", "longer"])
def test_a_damaged_file_gives_no_other_bytes(folder: Path, tmp_path: Path, harm: str) -> None:
    file = tmp_path / "c"
    expected = source_of(folder, file).read(EVERY)
    content = bytearray(file.read_bytes())
    if harm == "cut":
        content = content[:-5]
    elif harm == "longer":
        content += b"more"
    else:
        content[4096 + 100 if harm == "pixel" else -40] ^= 1
    file.write_bytes(content)
    assert torch.equal(source_of(folder, file).read(EVERY), expected)


def test_what_no_cache_can_be(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"got none; give size=\(height, width\)"):
        tx.ImageFolderSource(folder, cache="memory")
    for wrong in ("", " ", 3, True):
        with pytest.raises(SourceError, match='give "memory", or the path of a file'):
            source_of(folder, wrong)
    mine = tmp_path / "mine.txt"
    mine.write_text("my notes")
    with pytest.raises(SourceError, match="is no cache of decoded images, and would be overwr"):
        source_of(folder, mine)
    assert mine.read_text() == "my notes"
    with pytest.raises(SourceError, match="is a folder; give the path of a file"):
        source_of(folder, tmp_path)
    with pytest.raises(SourceError, match="in a folder that does not exist"):
        source_of(folder, tmp_path / "none" / "c")


def test_its_size_is_known(folder: Path, cache: object, caplog: pytest.LogCaptureFixture) -> None:
    source = source_of(folder, cache, size=(8, 12))
    assert source.cache_bytes == 6 * 3 * 8 * 12
    assert tx.ImageFolderSource(folder).cache_bytes == 0
    with caplog.at_level(logging.INFO, logger="torchcross"):
        source.read([0])
    assert ("decoding 6 images into" in caplog.text) == (cache != "memory")
