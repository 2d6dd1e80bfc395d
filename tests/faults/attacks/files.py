"""Hostile files of every format that is read: how each is made, and what reads it.

They are made by code, since most are bombs: small files that claim, or unpack to, very much.
"""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from medimeta_adapter import MedIMetaDataset, read_info
from medimeta_adapter.convert import About, CsvTask, Options, csv_images, image_folder, medmnist
from medimeta_adapter.fetch.archive import open_archive
from tests.medimeta.make import edit_info, write_dataset
from torchcross.algorithms import load_predictor
from torchcross.backbones import conv4, load_weights
from torchcross.data import load_plans, toys
from torchcross.errors import DamageError
from torchcross.experiment import read_experiment, verify_run, write_page
from torchcross.experiment.run.examples import read_example
from torchcross.records import read_means, read_records

ABOUT = About(id="mine", domain="Mine")
MANY = 120_000_000


@dataclass(frozen=True)
class Attack:
    """`make` writes hostile files into a folder and returns the path for `read`."""

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]


def _file(name: str, content: bytes | str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


# -- archives of arrays ----------------------------------------------------------------------------


def _npy_header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def _npz(path: Path, members: dict[str, tuple[tuple[int, ...], bytes | int]]) -> Path:
    """Arrays of bytes, compressed; a number stands for so many zeros."""
    block = bytes(1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, (shape, content) in members.items():
            with archive.open(f"{name}.npy", "w") as file:
                file.write(_npy_header(shape))
                left = content if isinstance(content, int) else 0
                if isinstance(content, bytes):
                    file.write(content)
                while left > 0:
                    left -= file.write(block[:left])
    return path


def _example_bomb(folder: Path) -> Path:
    told = json.dumps({"pictures": [["a", None, None, None]], "support": 1}).encode()
    pixels = ((1, 1, MANY), MANY)
    return _npz(folder / "a.npz", {"told": ((len(told),), told), "pixels": pixels})


def _example_claim(folder: Path) -> Path:
    """Its header claims what the archive does not."""
    told = json.dumps({"pictures": [["a", None, None, None]], "support": 1}).encode()
    pixels = ((1, 1 << 20, 1 << 20), 10)
    return _npz(folder / "a.npz", {"told": ((len(told),), told), "pixels": pixels})


def _medmnist(folder: Path, images: tuple[int, ...], count: int, labels: int) -> Path:
    members: dict[str, tuple[tuple[int, ...], bytes | int]] = {}
    for split in ("train", "val", "test"):
        members[f"{split}_images"] = (images, count)
        members[f"{split}_labels"] = ((labels, 1), labels)
    return _npz(folder / "a.npz", members)


def _convert_medmnist(path: Path) -> Any:
    out = path.parent / "out"
    return medmnist(path, out, ABOUT, kind="multi-class", labels=["a", "b"])


# -- datasets --------------------------------------------------------------------------------------


def _dataset(folder: Path, **changes: Any) -> Path:
    place = write_dataset(folder, tiffs=True, hdf5=False, channels=3)
    edit_info(place, **changes)
    return place


def _chunks(folder: Path) -> Path:
    """HDF5 chunks of 4 GB that are not there."""
    place = write_dataset(folder)
    with h5py.File(place / "images.hdf5", "w") as file:
        file.create_dataset(
            "images", (12, 30_000, 30_000), np.uint8, chunks=(4, 30_000, 30_000), compression=1
        )
    edit_info(place, input_size=[1, 30_000, 30_000])
    return place


def _elsewhere(folder: Path) -> Path:
    place = write_dataset(folder)
    with h5py.File(place / "images.hdf5", "w") as file:
        file["images"] = h5py.ExternalLink("/etc/passwd", "images")
    return place


def _read_dataset(path: Path) -> Any:
    dataset = MedIMetaDataset(path)
    return dataset.labels(), dataset.images([0])


def _aliases() -> str:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(12)]
    return "\n".join(lines)


# -- pictures --------------------------------------------------------------------------------------


def _png_bomb(folder: Path) -> Path:
    """A PNG of 20,000 x 20,000 pixels in some hundred kilobytes."""
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    pack = zlib.compressobj(1)
    rows = [pack.compress(bytes(20_001)) for _ in range(20_000)]
    data = b"".join([*rows, pack.flush()])
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in chunks
    )
    for number in range(12):
        (folder / f"{'ab'[number % 2]}/{number}.png").write_bytes(content + bytes(number))
    return folder


def _pipe(folder: Path) -> Path:
    for name in ("a", "b"):
        (folder / name).mkdir()
        os.mkfifo(folder / name / "1.png")
    return folder


def _convert_folder(path: Path) -> Any:
    return image_folder(path, path.with_name("out"), ABOUT, options=Options(size=8, threads=1))


# -- tables ----------------------------------------------------------------------------------------


def _convert_table(path: Path) -> Any:
    task = CsvTask("kind", "multiclass", "kind")
    return csv_images(path, path.parent / "out", ABOUT, tasks=[task])


# -- runs, weights, archives -----------------------------------------------------------------------


def _run(folder: Path, experiment: str | bytes) -> Path:
    run = folder / "run"
    (run / "rows").mkdir(parents=True)
    _file("experiment.json", experiment)(run)
    return run


def _loop(folder: Path) -> Path:
    run = _run(folder, "{}")
    (run / "rows" / "again").symlink_to(run, target_is_directory=True)
    return run


def _verify(path: Path) -> Any:
    verification = verify_run(path)
    if not verification.holds:
        raise DamageError(str(verification))


def _safetensors(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header


def _load(path: Path) -> Any:
    return load_weights(conv4(channels=2), path)


def _pth(folder: Path) -> Path:
    path = folder / "a.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(1 << 26))
    return path


def _wheel(folder: Path) -> Path:
    path = folder / "a.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(3):
            archive.writestr(str(number), bytes(1 << 26))
    return path


def _tar(folder: Path) -> Path:
    path = folder / "a.tgz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number in range(3):
            entry = tarfile.TarInfo(str(number))
            entry.size = 1 << 26
            archive.addfile(entry, io.BytesIO(bytes(1 << 26)))
    return path


def _open_archive(path: Path) -> Any:
    with open_archive(path, most_bytes=1 << 27) as archive:
        return archive.sizes


def _load_plans(path: Path) -> Any:
    return load_plans(path, toys.binary(size=8))


_DEEP = "[" * 200_000
_DIGITS = "9" * 100_000

ATTACKS: dict[str, Attack] = {
    "example: unpacks to 120 MB": Attack(_example_bomb, read_example),
    "example: claims a terabyte": Attack(_example_claim, read_example),
    "medmnist: an image of 300 MB": Attack(
        lambda folder: _medmnist(folder, (1, 15_000, 20_000), 300_000_000, 1), _convert_medmnist
    ),
    "medmnist: 100 million rows": Attack(
        lambda folder: _medmnist(folder, (100_000_000, 1, 1), 100_000_000, 100_000_000),
        _convert_medmnist,
    ),
    "plans: unpack to 120 MB": Attack(
        lambda folder: _npz(folder / "a.npz", {"header": ((MANY,), MANY)}), _load_plans
    ),
    "TIFF: 65,536 x 65,536 claimed": Attack(
        lambda folder: _dataset(folder, input_size=[3, 65_536, 65_536]), _read_dataset
    ),
    "HDF5: chunks of 4 GB": Attack(_chunks, _read_dataset),
    "HDF5: a link to another file": Attack(_elsewhere, _read_dataset),
    "YAML: aliases of aliases": Attack(_file("info.yaml", _aliases()), read_info),
    "YAML: deep": Attack(_file("info.yaml", _DEEP), read_info),
    "YAML: a number of 100,000 digits": Attack(
        _file("info.yaml", f"total_num_samples: {_DIGITS}"), read_info
    ),
    "YAML: 40,000 directives": Attack(
        _file("info.yaml", "".join(f"%TAG !t{n}! a:b:\n" for n in range(20_000))), read_info
    ),
    "PNG: 20,000 x 20,000": Attack(_png_bomb, _convert_folder),
    "pipes named as images": Attack(_pipe, _convert_folder),
    "table: a header of 70,000 characters": Attack(
        _file("a.csv", "a" * 70_000 + "," + "a" * 70_000 + "\n1,2\n"), _convert_table
    ),
    "table: a field of a megabyte": Attack(
        _file("a.csv", 'path,kind\n"' + "x" * (1 << 20)), _convert_table
    ),
    "table: NULs": Attack(_file("a.csv", b"path,kind\n\0,\0\n"), _convert_table),
    "records: a header of 70,000 characters": Attack(_file("a.csv", "a" * 70_000), read_records),
    "records: a number of 100,000 digits": Attack(
        _file("a.csv", f"algorithm\n{_DIGITS}\n"), read_records
    ),
    "means: no numbers, 70,000 characters": Attack(
        _file("a.csv", f"target,a\nt,{'x' * 70_000}\n"), read_means
    ),
    "means: names that stand twice": Attack(
        _file("a.csv", f"target{',a' * 20_000}\nt{',1' * 20_000}\n"), read_means
    ),
    "experiment: deep TOML": Attack(_file("a.toml", f"a = {_DEEP}"), read_experiment),
    "experiment: a number of 100,000 digits": Attack(
        _file("a.toml", f"seeds = [{_DIGITS}]"), read_experiment
    ),
    "run: deep JSON": Attack(lambda folder: _run(folder, _DEEP), write_page),
    "run: a number of 100,000 digits": Attack(
        lambda folder: _run(folder, f'{{"seeds": [{_DIGITS}]}}'), write_page
    ),
    "run: a list for an experiment": Attack(lambda folder: _run(folder, "[1]"), write_page),
    "run: an empty experiment": Attack(lambda folder: _run(folder, "{}"), write_page),
    "run: a folder in itself": Attack(_loop, write_page),
    "run: deep JSON, verified": Attack(lambda folder: _run(folder, _DEEP), _verify),
    "safetensors: a header of 2^63 bytes": Attack(
        _file("a.safetensors", _safetensors(b"{}", 1 << 63)), _load
    ),
    "safetensors: deep header": Attack(_file("a.safetensors", _safetensors(_DEEP.encode())), _load),
    "safetensors: tensors beyond the file": Attack(
        _file(
            "a.safetensors",
            _safetensors(
                b'{"a":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4294967296]}}'
            ),
        ),
        _load,
    ),
    "weights: packed members": Attack(_pth, _load),
    "predictor: deep record": Attack(
        _file(
            "a.safetensors",
            _safetensors(json.dumps({"__metadata__": {"record": _DEEP}}).encode()),
        ),
        load_predictor,
    ),
    "wheel: unpacks to 192 MB": Attack(_wheel, _open_archive),
    "tarball: unpacks to 192 MB": Attack(_tar, _open_archive),
}
