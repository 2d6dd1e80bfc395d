"""What fails in the middle of a run is told, the rest goes on, and after the repair only what is
missing is done.
"""

import errno
import json
import os
import shutil
from fnmatch import fnmatch
from html import escape
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.experiment.small import command, prepare
from torchcross import cli
from torchcross.errors import WriteError
from torchcross.experiment.run import runner, training
from torchcross.training.step import Stepper

pytestmark = pytest.mark.slow

TARGETS = ("oct/disease class", "bus/case category")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A folder with datasets and a configuration, and the rows of a run in which nothing failed."""
    root = prepare(tmp_path_factory.mktemp("clean"))
    assert cli.main(command(root, root / "run", "--quiet")) == 0
    return root


@pytest.fixture
def root(clean, tmp_path):
    """The same, to be broken."""
    shutil.copytree(clean / "data", tmp_path / "data")
    shutil.copy(clean / "small.toml", tmp_path)
    return tmp_path


@pytest.fixture
def run(root, capsys):
    """Run some algorithms; (exit status, what stood on stderr)."""

    def called(*more, algorithms="protonet,ncm"):
        capsys.readouterr()
        status = cli.main(command(root, root / "run", "--algorithms", algorithms, *more))
        return status, capsys.readouterr().err

    return called


def rows(root):
    return {path.name: path.read_bytes() for path in (root / "run" / "rows").iterdir()}


def failures(root):
    """Reasons by algorithm and target."""
    told = json.loads((root / "run" / "failures.json").read_text(encoding="utf-8"))["failures"]
    return {(one["algorithm"], one["target"]): one["reason"] for one in told}


def check(root, clean, failed, status, err, reason):
    """The failures are told everywhere, and the other cells have the rows that they have anyway."""
    assert status == 1
    found = failures(root)
    assert set(found) == set(failed)
    page = (root / "run" / "report.html").read_text(encoding="utf-8")
    for told in found.values():
        assert reason in told
        assert escape(reason) in page
    assert err.count(reason) >= len(failed)
    assert "Traceback" not in err
    theirs = rows(clean)
    assert rows(root).items() <= theirs.items()
    assert rows(root)


def goes_on(root, clean, run, algorithms="protonet,ncm"):
    """After the repair nothing is done twice, and nothing differs from a run in which nothing
    failed.
    """
    folder = root / "run" / "rows"
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    status, err = run(algorithms=algorithms)
    assert failures(root) == {}, err
    assert status == 0
    assert "failed" not in err
    assert {name: (folder / name).stat().st_ino for name in before} == before
    wanted = tuple(name.replace("-", "_") for name in algorithms.split(","))
    assert rows(root) == {
        name: content for name, content in rows(clean).items() if name.startswith(wanted)
    }
    assert not list((root / "run").rglob("*.part"))


# -- datasets that cannot be read ------------------------------------------------------------------


def cut_off(folder):
    os.truncate(folder / "images.hdf5", (folder / "images.hdf5").stat().st_size // 2)


def gone(folder):
    (folder / "images.hdf5").unlink()


def no_labels(folder):
    for path in (folder / "task_labels").glob("*.npy"):
        path.write_bytes(b"nonsense")


def mend(root, clean, dataset):
    shutil.rmtree(root / "data" / dataset)
    shutil.copytree(clean / "data" / dataset, root / "data" / dataset)


DAMAGE = {cut_off: "truncated file", gone: "no images", no_labels: "task_labels"}


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


def after(plain, deed):
    def called(*given, **more):
        result = plain(*given, **more)
        deed()
        return result

    return called


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


# -- trainings and episodes that fail --------------------------------------------------------------


def test_a_training_that_diverges(root, clean, run):
    absurd = ("--set", "pretraining.lr=1e38")
    for _ in range(2):
        status, err = run(*absurd, algorithms="mm-pt,protonet,ncm")
        check(root, clean, [("mm-pt", target) for target in TARGETS], status, err, "Lower lr")


def test_fine_tuning_that_always_diverges_is_a_failure_and_no_empty_row(root, clean, run):
    status, err = run(
        "--set", "evaluation.lr=1e38", "--set", "evaluation.steps=3", algorithms="scratch,ncm"
    )
    check(
        root,
        clean,
        [("scratch", target) for target in TARGETS],
        status,
        err,
        "none of 2 episodes has a score",
    )


def test_images_that_are_not_finite(root, clean, run, monkeypatch):
    def spoilt(collection, target, *, split="all"):
        source = plain(collection, target, split=split)
        if target == TARGETS[1]:
            read = source.read
            source.read = lambda indices: read(indices).float() * float("nan")
        return source

    kind = type(runner.open_collection("medimeta", root / "data", channels=1))
    plain = kind.target
    monkeypatch.setattr(kind, "target", spoilt)
    status, err = run()
    failed = [("protonet", TARGETS[1]), ("ncm", TARGETS[1])]
    check(root, clean, failed, status, err, "NaN or infinite pixels")
    monkeypatch.undo()
    goes_on(root, clean, run)


def test_an_error_that_nobody_foresaw_says_where_it_comes_from(root, clean, run, monkeypatch):
    plain = runner.adapter

    def adapter(method, *rest):
        return {"protonet": plain}[method.name](method, *rest)

    monkeypatch.setattr(runner, "adapter", adapter)
    status, err = run()
    failed = [("ncm", target) for target in TARGETS]
    check(root, clean, failed, status, err, "KeyError: 'ncm' (in adapter, test_failures.py:")
    monkeypatch.undo()
    goes_on(root, clean, run)


def test_where_everything_fails_the_page_says_why(root, clean, run):
    for name in ("oct", "bus"):
        gone(root / "data" / name)
    status, err = run()
    assert status == 1
    assert len(failures(root)) == 4
    assert err.count("no images") >= 4
    assert (root / "run" / "report.html").read_text(encoding="utf-8").count("no images") >= 4
    for name in ("oct", "bus"):
        mend(root, clean, name)
    goes_on(root, clean, run)


# -- disks that are full ---------------------------------------------------------------------------


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


def test_room_that_is_there_again_at_the_end(root, clean, run, monkeypatch):
    plain, calls = runner.RunFolder.write_failures, []

    def write(folder, told):
        calls.append(1)
        if len(calls) < 4:
            raise WriteError("no room")
        plain(folder, told)

    monkeypatch.setattr(runner.RunFolder, "write_failures", write)
    status, err = run()
    assert (status, failures(root)) == (0, {})
    assert err.count("failed: no room") == 3


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


def test_failures_of_before_stand_until_they_are_tried_again(root, clean, run, monkeypatch):
    """A run that is stopped early has not forgotten them."""
    gone(root / "data" / "bus")
    assert run()[0] == 1
    before = failures(root)
    plain, calls = runner.adapter, []

    def stopped(*given):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(*given)

    monkeypatch.setattr(runner, "adapter", stopped)
    mend(root, clean, "bus")
    assert run()[0] == 130
    assert before.pop(("protonet", TARGETS[0]))
    assert failures(root) == before
    assert len(before) == 2
    monkeypatch.undo()
    goes_on(root, clean, run)


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
