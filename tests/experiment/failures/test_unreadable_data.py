"""A dataset that cannot be read fails what needs it alone, and only until it can be read again."""

import os
import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.experiment.failures.failing_runs import TARGETS, after, check, goes_on, gone, mend, rows
from torchcross import cli
from torchcross.experiment.run import training
from torchcross.training.step import Stepper

pytestmark = pytest.mark.slow


def cut_off(folder):
    os.truncate(folder / "images.hdf5", (folder / "images.hdf5").stat().st_size // 2)


def no_labels(folder):
    for path in (folder / "task_labels").glob("*.npy"):
        path.write_bytes(b"nonsense")


DAMAGE = {cut_off: "truncated file", gone: "no images", no_labels: "task_labels"}


@pytest.mark.long
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_dataset_that_is_a_target_and_a_source(root, clean, run, damage):
    damage(root / "data" / "bus")
    status, err = run()
    # The other target does without it where nothing is learned from the sources.
    failed = [("protonet", TARGETS[0]), ("protonet", TARGETS[1]), ("ncm", TARGETS[1])]
    if damage is not no_labels:
        # Its labels say that there is enough to learn from; only its pixels are missing.
        assert "data/bus" in err
    check(root, clean, failed, status, err, DAMAGE[damage])
    mend(root, clean, "bus")
    goes_on(root, clean, run)


@pytest.mark.long
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_dataset_that_is_a_source(root, clean, run, damage):
    damage(root / "data" / "derm")
    status, err = run()
    check(root, clean, [("protonet", target) for target in TARGETS], status, err, DAMAGE[damage])
    mend(root, clean, "derm")
    goes_on(root, clean, run)


def as_tiff(folder):
    """The same images in files of their own."""
    with h5py.File(folder / "images.hdf5") as file:
        images = np.asarray(file["images"])
    (folder / "images.hdf5").unlink()
    (folder / "images").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image.squeeze()).save(folder / "images" / f"{number:06d}.tiff")


@pytest.mark.long
def test_images_that_go_while_the_run_is_on(root, clean, run, monkeypatch):
    """A file that is open outlives its name; files that are opened one by one do not."""
    as_tiff(root / "data" / "oct")
    plain = training.fit

    def fit(*given, **more):
        result = plain(*given, **more)
        shutil.rmtree(root / "data" / "oct" / "images", ignore_errors=True)
        return result

    monkeypatch.setattr(training, "fit", fit)
    status, err = run()
    failed = [("protonet", TARGETS[0]), ("ncm", TARGETS[0]), ("protonet", TARGETS[1])]
    check(root, clean, failed, status, err, "data/oct")
    monkeypatch.undo()
    mend(root, clean, "oct")
    goes_on(root, clean, run)


@pytest.mark.long
def test_chunks_that_rot_while_they_are_trained_on(root, clean, run, monkeypatch):
    """Compressed images are read by HDF5 itself, chunk after chunk."""
    compress(root / "data" / "derm" / "images.hdf5")
    monkeypatch.setattr(
        training,
        "training_setup",
        after(training.training_setup, lambda: rot(root / "data" / "derm" / "images.hdf5")),
    )
    status, err = run()
    check(
        root,
        clean,
        [("protonet", target) for target in TARGETS],
        status,
        err,
        "images cannot be read",
    )
    monkeypatch.undo()
    mend(root, clean, "derm")
    goes_on(root, clean, run)


def compress(path):
    with h5py.File(path) as file:
        images = np.asarray(file["images"])
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "images", data=images, chunks=(1, *images.shape[1:]), compression="gzip"
        )


def rot(path):
    """Zeros in the place of the compressed images."""
    with h5py.File(path) as file:
        chunks = [
            file["images"].id.get_chunk_info(number)
            for number in range(file["images"].id.get_num_chunks())
        ]
    with path.open("r+b") as file:
        for chunk in chunks:
            file.seek(chunk.byte_offset)
            file.write(b"\0" * chunk.size)


@pytest.mark.long
def test_labels_that_changed_are_not_mixed_in_once_they_can_be_read(root, clean, run):
    """What was known of the data is not forgotten while a part of it cannot be read."""
    assert run(algorithms="ncm")[0] == 0
    labels = next((root / "data" / "oct" / "task_labels").glob("disease class.npy"))
    kept = labels.read_bytes()
    labels.write_bytes(b"nonsense")
    next(
        path for path in (root / "run" / "rows").iterdir() if b"bus/" in path.read_bytes()
    ).unlink()
    assert run(algorithms="ncm")[0] == 0
    assert rows(root).items() <= rows(clean).items()
    changed = np.load(clean / "data" / "oct" / "task_labels" / "disease class.npy")[::-1]
    np.save(labels, changed)
    status, err = run(algorithms="ncm")
    assert status == 2
    assert "rows of other data" in err
    labels.write_bytes(kept)
    assert run(algorithms="ncm")[0] == 0


@pytest.mark.long
def test_a_description_that_cannot_be_read_is_refused_before_anything_is_made(root, clean, run):
    """It is not known what it overlaps with, so no target could be left out safely."""
    info = root / "data" / "derm" / "info.yaml"
    kept = info.read_bytes()
    info.write_bytes(kept[: len(kept) // 2] + b"\n]:[")
    status, err = run()
    assert status == 2
    assert err.startswith("torchcross: error: ")
    assert "derm/info.yaml" in err
    assert not (root / "run").exists()
    info.write_bytes(kept)
    assert run()[0] == 0
    info.write_bytes(b"")
    done = rows(root)
    assert run()[0] == 2
    assert rows(root) == done
    assert cli.main(["report", str(root / "run")]) == 0
    info.write_bytes(kept)
    goes_on(root, clean, run)


@pytest.mark.long
def test_images_cut_off_while_they_are_trained_on(root, clean, run, monkeypatch):
    """A page of a map that is gone would end the process, if nobody looked."""
    path = root / "data" / "derm" / "images.hdf5"
    monkeypatch.setattr(
        Stepper, "gradients", after(Stepper.gradients, lambda: os.truncate(path, 4096))
    )
    status, err = run()
    check(
        root, clean, [("protonet", target) for target in TARGETS], status, err, "derm/images.hdf5"
    )
    monkeypatch.undo()
    mend(root, clean, "derm")
    goes_on(root, clean, run)
