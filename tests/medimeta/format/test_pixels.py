"""Every layout and storage gives the same pixels; a header's claims are checked by file size."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medimeta_adapter import MedIMetaDataset
from medimeta_adapter.format.hdf5 import check_contiguous
from medimeta_adapter.format.hdf5_layouts import layout_of
from medimeta_adapter.format.pixels import ChunkedPixels, MappedPixels, TiffPixels
from tests.medimeta.make import LAYOUTS, as_stored, pixels, write_dataset, write_hdf5
from torchcross.errors import DatasetFileError, InputError

WANTED = np.array([7, 0, 11, 7, 3])
EVERY_LAYOUT = [(channels, layout) for channels, layouts in LAYOUTS.items() for layout in layouts]
STORAGE = {
    "contiguous": ({}, MappedPixels),
    "chunked": ({"chunks": True}, ChunkedPixels),
    "gzip": ({"chunks": True, "compression": "gzip"}, ChunkedPixels),
    "lzf": ({"chunks": True, "compression": "lzf", "shuffle": True}, ChunkedPixels),
}


def expected(images: np.ndarray) -> np.ndarray:
    """(n, C, H, W)."""
    return images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)


def published(images: np.ndarray) -> torch.Tensor:
    """To [0, 1], minus the mean .5, by the deviation .5, step by step."""
    return (
        torch.from_numpy(np.ascontiguousarray(expected(images))).float().div(255).sub(0.5).div(0.5)
    )


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize(("channels", "layout"), EVERY_LAYOUT)
def test_every_layout_reads_alike(tmp_path: Path, channels: int, layout: str, storage: str) -> None:
    options, kind = STORAGE[storage]
    images = pixels(12, channels)
    folder = write_dataset(
        tmp_path, channels=channels, layout=layout, images=images, hdf5_options=options
    )
    dataset = MedIMetaDataset(folder)
    assert isinstance(dataset.pixels, kind)
    np.testing.assert_array_equal(dataset.pixels.rows(WANTED), images[WANTED])
    read = dataset.images(WANTED)
    assert read.dtype == torch.uint8
    np.testing.assert_array_equal(read.numpy(), expected(images[WANTED]))
    as_float = dataset.images(WANTED, pixels="float")
    assert as_float.is_contiguous()
    assert torch.equal(as_float, published(images[WANTED]))
    assert dataset.images([]).shape == (0, *read.shape[1:])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_of_tiffs_reads_alike(tmp_path: Path, channels: int) -> None:
    images = pixels(12, channels)
    folder = write_dataset(tmp_path, channels=channels, images=images, hdf5=False, tiffs=True)
    dataset = MedIMetaDataset(folder)
    assert isinstance(dataset.pixels, TiffPixels)
    np.testing.assert_array_equal(dataset.images(WANTED).numpy(), expected(images[WANTED]))
    (folder / "images" / "000003.tiff").unlink()
    with pytest.raises(
        DatasetFileError,
        match=r"1 of 12 images are missing .total_num_samples., the first is 000003\.tiff",
    ):
        _ = MedIMetaDataset(folder).pixels


@pytest.mark.parametrize("pixel_type", ["uint8", "float"])
@pytest.mark.parametrize("asked", [1, 3])
@pytest.mark.parametrize(("channels", "layout"), EVERY_LAYOUT)
def test_a_buffer_gets_what_a_fresh_tensor_gets(
    tmp_path: Path, channels: int, layout: str, asked: Any, pixel_type: Any
) -> None:
    dataset = MedIMetaDataset(write_dataset(tmp_path, channels=channels, layout=layout))
    fresh = dataset.images(WANTED, channels=asked, pixels=pixel_type)
    buffer = torch.zeros_like(fresh)
    assert dataset.images(WANTED, channels=asked, pixels=pixel_type, out=buffer) is buffer
    assert torch.equal(buffer, fresh)
    assert fresh.shape[1] == asked
    fresh += 1
    assert torch.equal(dataset.images(WANTED, channels=asked, pixels=pixel_type), buffer), (
        "the file is not written to"
    )


def test_channels_by_name(tmp_path: Path) -> None:
    colour = pixels(12, 3)
    dataset = MedIMetaDataset(write_dataset(tmp_path, "colour", channels=3, images=colour))
    luma = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in colour])
    np.testing.assert_array_equal(dataset.images(range(12), channels=1).numpy()[:, 0], luma)
    grey = pixels(12, 1)
    dataset = MedIMetaDataset(write_dataset(tmp_path, "grey", images=grey))
    np.testing.assert_array_equal(
        dataset.images(range(12), channels=3).numpy(), np.repeat(grey[:, None], 3, 1)
    )
    for wrong in (2, "rgb", True):
        with pytest.raises(InputError, match="channels="):
            dataset.images([0], channels=wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="pixels="):
        dataset.images([0], pixels="double")  # type: ignore[arg-type]


def test_wrong_indices_and_buffers_are_refused(tmp_path: Path) -> None:
    dataset = MedIMetaDataset(write_dataset(tmp_path))
    for wrong in (
        [12],
        [-1],
        [0.5],
        [[1]],
        [True],
        [2**70],
        ["1"],
        [[1], [2, 3]],
        5,
        None,
        "1",
        np.array(3),
        1.5,
    ):
        with pytest.raises(InputError, match=r"it has 0\.\.11"):
            dataset.images(wrong)  # type: ignore[arg-type]
    for few in ([], (), np.array([]), torch.tensor([], dtype=torch.int64)):
        assert dataset.images(few).shape == (0, 1, 6, 5)
    same = dataset.images([3, 1])
    for given_as in (
        iter((3, 1)),
        torch.tensor([3, 1]),
        np.array([3, 1], dtype=np.uint8),
        range(3, 0, -2),
    ):
        assert torch.equal(dataset.images(given_as), same)
    with pytest.raises(InputError, match="out= is"):
        dataset.images([0], out=torch.zeros(1, 1, 6, 5))
    with pytest.raises(InputError, match="out= is"):
        dataset.images([0], out=torch.zeros(2, 1, 6, 5, dtype=torch.uint8))
    with pytest.raises(InputError, match="out= is a ndarray"):
        dataset.images([0], out=np.zeros((1, 1, 6, 5), dtype=np.uint8))  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 11), max_size=30), st.sampled_from(sorted(STORAGE)))
def test_any_order_with_repeats(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[int], storage: str
) -> None:
    images = pixels(12, 3)
    folder = tmp_path_factory.mktemp("any")
    dataset = MedIMetaDataset(
        write_dataset(folder, channels=3, images=images, hdf5_options=STORAGE[storage][0])
    )
    np.testing.assert_array_equal(
        dataset.images(wanted).numpy(), expected(images[np.array(wanted, dtype=int)])
    )


@pytest.mark.parametrize(
    ("shape", "size", "layout"),
    [
        ((9, 6, 5), (1, 6, 5), "NHW"),
        ((9, 6, 5, 1), (1, 6, 5), "NHWC"),
        ((9, 1, 6, 5), (1, 6, 5), "N1HW"),
        ((9, 6, 5, 3), (3, 6, 5), "NHWC"),
        ((9, 3, 6, 5), (3, 6, 5), "NCHW"),
        ((9, 3, 3, 3), (3, 3, 3), "NHWC"),
        ((9, 3, 3, 5), (3, 3, 5), "NCHW"),
        ((9, 5, 3, 3), (3, 5, 3), "NHWC"),
        ((9, 5, 6), (1, 6, 5), None),
        ((9, 6, 5), (3, 6, 5), None),
        ((9, 6, 5, 3), (1, 6, 5), None),
        ((9, 6, 5, 4), (3, 6, 5), None),
        ((9,), (1, 6, 5), None),
    ],
)
def test_layouts_are_told_by_shape(
    shape: tuple[int, ...], size: tuple[int, int, int], layout: str | None
) -> None:
    assert layout_of(shape, size) == layout


@pytest.mark.parametrize("storage", STORAGE)
def test_pixels_travel_without_a_handle(tmp_path: Path, storage: str) -> None:
    dataset = MedIMetaDataset(write_dataset(tmp_path, channels=3, hdf5_options=STORAGE[storage][0]))
    before = dataset.images(WANTED)
    sent = pickle.dumps(dataset.pixels)
    assert len(sent) < 1000
    np.testing.assert_array_equal(
        pickle.loads(sent).rows(WANTED), before.permute(0, 2, 3, 1).numpy()
    )


# -- files that lie --------------------------------------------------------------------------------


def opened(folder: Path) -> Any:
    return MedIMetaDataset(folder).pixels


def refused(folder: Path, message: str) -> None:
    with pytest.raises(DatasetFileError, match=message) as caught:
        opened(folder)
    assert str(folder) in str(caught.value)


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, count=100)
    path = folder / "images.hdf5"
    whole = path.read_bytes()
    for length in (0, 7, 100, 1000, 2048, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(folder, "images.hdf5: (not an HDF5|a damaged)")
    path.write_bytes(b"PK\x03\x04" + whole[4:])
    refused(folder, "not an HDF5 file")


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("block", [512, 2048])
def test_a_user_block_before_the_data(tmp_path: Path, block: int, storage: str) -> None:
    images = pixels(12, 1)
    folder = write_dataset(tmp_path, images=images)
    path = folder / "images.hdf5"
    with h5py.File(path, "w", userblock_size=block) as file:
        file.create_dataset("images", data=images, **STORAGE[storage][0])
    with path.open("r+b") as raw:
        raw.write(b"\x89HDF" + b"x" * (block - 4))
    dataset = MedIMetaDataset(folder)
    np.testing.assert_array_equal(dataset.images(range(12)).numpy()[:, 0], images)
    assert isinstance(dataset.pixels, MappedPixels) == (storage == "contiguous")
    whole = path.read_bytes()
    for length in (block, block + 7, block + 100, len(whole) - 1):
        path.unlink()  # HDF5 knows an open file again
        path.write_bytes(whole[:length])
        refused(folder, "images.hdf5: (not an HDF5|a damaged)")
    path.unlink()
    path.write_bytes(whole[:block] + b"x" + whole[block:])
    refused(folder, "not an HDF5 file")


def test_a_claim_of_ten_gigabytes_allocates_nothing(tmp_path: Path) -> None:
    side = 1 << 14
    folder = write_dataset(tmp_path, input_size=[1, side, side], total_num_samples=40)
    for number, options in enumerate(
        ({}, {"chunks": (1, side, side)}, {"chunks": (1, side, side), "compression": "gzip"})
    ):
        (folder / "images.hdf5").unlink()
        with h5py.File(folder / "images.hdf5", "w") as file:
            file.create_dataset("images", (40, side, side), np.uint8, **options)
        assert (folder / "images.hdf5").stat().st_size < 10_000
        refused(folder, "never written" if number == 0 else "claims 10,737,418,240 bytes")


def test_chunks_that_were_never_written(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path)
    with h5py.File(folder / "images.hdf5", "w") as file:
        file.create_dataset("images", (12, 6, 5), np.uint8, chunks=(1, 6, 5))[:7] = 1
    refused(folder, "7 of 12 chunks were written")


@pytest.mark.parametrize("dtype", ["int16", "float32", "S4", "bool"])
def test_a_wrong_dtype_is_named(tmp_path: Path, dtype: str) -> None:
    folder = write_dataset(tmp_path)
    write_hdf5(folder / "images.hdf5", pixels(12, 1).astype(dtype))
    refused(folder, "images: dtype .*expected uint8")


@pytest.mark.parametrize(
    "shape", [(12, 5, 6), (11, 6, 5), (13, 6, 5), (12, 6, 5, 3), (12, 30), (360,)]
)
def test_a_wrong_shape_is_named(tmp_path: Path, shape: tuple[int, ...]) -> None:
    folder = write_dataset(tmp_path)
    write_hdf5(folder / "images.hdf5", np.zeros(shape, dtype=np.uint8))
    refused(folder, r"images: shape .*total_num_samples: 12 and input_size: \[1, 6, 5\]")


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path)
    secret = tmp_path / "secret.hdf5"
    write_hdf5(secret, as_stored(pixels(12, 1), "NHW"))
    (tmp_path / "raw").write_bytes(bytes(360))
    path = folder / "images.hdf5"

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout((12, 6, 5), np.uint8)
        layout[:] = h5py.VirtualSource(secret, "images", (12, 6, 5))
        file.create_virtual_dataset("images", layout)

    def external(file: Any) -> None:
        file.create_dataset(
            "images", (12, 6, 5), np.uint8, external=[(str(tmp_path / "raw"), 0, 360)]
        )

    def link(file: Any) -> None:
        file["images"] = h5py.ExternalLink(secret, "images")

    def soft(file: Any) -> None:
        file["images"] = h5py.SoftLink("/other")

    def group(file: Any) -> None:
        file.create_group("images")

    def other(file: Any) -> None:
        file["pictures"] = 1

    for write, message in (
        (virtual, "in other files"),
        (external, "in other files"),
        (link, "a link to elsewhere"),
        (soft, "a link to elsewhere"),
        (group, "a Group"),
        (other, "no dataset 'images' in it; there are .'pictures'"),
    ):
        with h5py.File(path, "w") as file:
            write(file)
        refused(folder, message)


def test_an_unknown_filter_is_named(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path)
    space = h5py.h5s.create_simple((12, 6, 5))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((12, 6, 5))
    properties.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
    with h5py.File(folder / "images.hdf5", "w") as file:
        made = h5py.h5d.create(file.id, b"images", h5py.h5t.STD_U8LE, space, properties)
        made.write_direct_chunk((0, 0, 0), bytes(360))
    refused(folder, "HDF5 filter 32015.*not installed")


def test_tiffs_that_are_something_else(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, hdf5=False, tiffs=True)
    dataset = MedIMetaDataset(folder)
    path = folder / "images" / "000004.tiff"
    Image.fromarray(pixels(1, 3)[0]).save(path)
    with pytest.raises(DatasetFileError, match=r"000004\.tiff: RGB of \(width, height\) \(5, 6\)"):
        dataset.images([4])
    Image.fromarray(pixels(1, 1, 5, 6)[0]).save(path)
    with pytest.raises(DatasetFileError, match=r"L of \(width, height\) \(6, 5\)"):
        dataset.images([4])
    Image.fromarray(pixels(1, 1)[0]).save(path, format="PNG")
    with pytest.raises(DatasetFileError, match="not a readable TIFF"):
        dataset.images([4])
    path.write_bytes((folder / "images" / "000005.tiff").read_bytes()[:-20])
    with pytest.raises(DatasetFileError, match="not a readable TIFF"):
        dataset.images([4])


def test_without_any_images(tmp_path: Path) -> None:
    refused(write_dataset(tmp_path, hdf5=False), "no images; expected images.hdf5")


def test_a_header_that_claims_more_than_the_file_has(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, total_num_samples=1200)
    path = folder / "images.hdf5"
    raw = path.read_bytes()
    sides = b"".join(side.to_bytes(8, "little") for side in (12, 6, 5))
    more = b"".join(side.to_bytes(8, "little") for side in (1200, 6, 5))
    size, larger = (360).to_bytes(8, "little"), (36000).to_bytes(8, "little")
    assert sides in raw
    assert size in raw
    path.write_bytes(raw.replace(sides, more).replace(size, larger))
    # Newer HDF5 libraries see this themselves.
    refused(folder, "images: claims 36,000 bytes|a damaged HDF5 file")
    with pytest.raises(
        DatasetFileError, match="claims 36,000 bytes from byte 2,048 on, the file has 2,408"
    ):
        check_contiguous(2048, 36000, 2408, path)
    check_contiguous(2048, 360, 2408, path)


def test_another_process_opens_the_file_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = MedIMetaDataset(write_dataset(tmp_path, hdf5_options=STORAGE["gzip"][0]))
    found = []
    opener = h5py.File
    monkeypatch.setattr(
        h5py, "File", lambda *arguments: found.append(arguments) or opener(*arguments)
    )
    pixels_of = dataset.pixels
    before = len(found)
    for process in (1, 1, 2, 2):
        monkeypatch.setattr("os.getpid", lambda process=process: process)
        pixels_of.rows(WANTED)
    assert len(found) - before == 2
