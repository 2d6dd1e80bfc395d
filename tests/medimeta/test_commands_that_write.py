"""`torchcross data convert`, `synth` and `fetch`, and `torchcross weights`, run as a user runs
them.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from medimeta_adapter import audit, fetch
from medimeta_adapter.format.info import read_info
from tests.command_line import run
from tests.medimeta.command_cases import refused

# -- convert, synth, fetch -------------------------------------------------------------------------

ABOUT = ["--id", "mine", "--domain", "Fundus", "--license", "CC0", "--size", "8", "--no-tiffs"]


def pictures(folder, count=12, size=10):
    draw = np.random.default_rng(0)
    for n in range(count):
        path = folder / ("disc" if n % 2 else "star") / f"person{n // 4}_{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (size, size), dtype=np.uint8)).save(path)
    return folder


def converted(capsys, tmp_path, kind, *arguments):
    status, out, err = run(
        capsys, "data", "convert", kind, *arguments, "--out", tmp_path / "out", *ABOUT
    )
    assert (status, err) == (0, "")
    assert str(tmp_path / "out" / "mine") in out
    info = read_info(tmp_path / "out" / "mine" / "info.yaml")
    assert (info.license, info.domain, info.input_size) == ("CC0", "Fundus", (1, 8, 8))
    assert audit.check(tmp_path / "out" / "mine").errors == ()
    return info


def test_convert_a_folder(capsys, tmp_path):
    folder = pictures(tmp_path / "in")
    more = [
        "--task",
        "shape",
        "--target",
        "binary",
        "--labels",
        "star,disc",
        "--subject",
        r"(person\d)_",
        "--limit",
        "5",
    ]
    info = converted(capsys, tmp_path, "imagefolder", folder, *more)
    assert dict(info.tasks[0].labels) == {0: "star", 1: "disc"}
    assert (info.tasks[0].name, info.total_num_samples) == ("shape", 10)
    assert audit.check(tmp_path / "out").datasets[0].subjects == 3


def test_convert_arrays(capsys, tmp_path):
    draw = np.random.default_rng(0)
    names = {
        "images": draw.integers(0, 4096, (20, 10, 10)).astype(np.uint16),
        "grade": np.arange(20) % 2 * 4,
    }
    names |= {
        "signs": draw.integers(0, 2, (20, 3)),
        "who": np.arange(20) // 2,
        "split": np.array(["train", "test"] * 10),
    }
    names["split"] = np.repeat(["train", "val", "test", "train"], 5)
    for name, values in names.items():
        np.save(tmp_path / f"{name}.npy", values)
    tasks = [
        "--task",
        "grade",
        "ordinal",
        tmp_path / "grade.npy",
        "--labels",
        "grade",
        "0=no,4=some",
    ]
    tasks += ["--task", "signs", "multilabel", tmp_path / "signs.npy", "--bits", "12"]
    more = ["--given-splits", tmp_path / "split.npy"]
    info = converted(capsys, tmp_path, "arrays", tmp_path / "images.npy", *tasks, *more)
    assert [task.name for task in info.tasks] == ["grade", "signs"]
    assert dict(info.tasks[0].labels) == {0: "no", 4: "some"}
    assert (info.splits_num_samples.train, info.splits_num_samples.val) == (10, 5)


def test_convert_a_table(capsys, tmp_path):
    folder = pictures(tmp_path / "in")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    lines = [
        "file;kind;a;b;who",
        *(f"{p};{p.parts[0]};{n % 2};1;w{n // 2}" for n, p in enumerate(files)),
    ]
    (folder / "table.csv").write_text("\n".join(lines))
    tasks = [
        "--task",
        "kind",
        "multiclass",
        "kind",
        "--task",
        "signs",
        "multilabel",
        "a,b",
        "--labels",
        "signs",
        "A,B",
    ]
    more = ["--path", "file", "--subject", "who", "--delimiter", ";", "--overwrite"]
    info = converted(capsys, tmp_path, "csv", folder / "table.csv", *tasks, *more)
    assert [dict(task.labels) for task in info.tasks] == [{0: "disc", 1: "star"}, {0: "A", 1: "B"}]
    assert audit.check(tmp_path / "out").datasets[0].subjects == 6


def test_convert_medmnist(capsys, tmp_path):
    draw = np.random.default_rng(0)
    arrays = {}
    for split, count in {"train": 8, "val": 3, "test": 3}.items():
        arrays[f"{split}_images"] = draw.integers(0, 256, (count, 8, 8), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 2)[:, None]
    np.savez(tmp_path / "x.npz", **arrays)
    more = ["--kind", "binary-class", "--labels", "no,yes", "--task", "ill"]
    info = converted(capsys, tmp_path, "medmnist", tmp_path / "x.npz", *more)
    assert (info.tasks[0].name, info.splits_num_samples.train) == ("ill", 8)


def test_convert_a_hugging_face_dataset(capsys, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    images = [Image.fromarray(np.full((8, 8), 20 * n, dtype=np.uint8)) for n in range(10)]
    kind = datasets.ClassLabel(names=["no", "yes"])
    features = {"image": datasets.Image(), "kind": kind, "marks": datasets.Sequence(kind)}
    labels = [n % 2 for n in range(10)]
    made = {"image": images, "kind": labels, "marks": [[label] for label in labels]}
    datasets.Dataset.from_dict(made, features=datasets.Features(features)).save_to_disk(
        tmp_path / "saved"
    )
    capsys.readouterr()
    tasks = ["--task", "marks", "--task", "kind=binary"]
    info = converted(capsys, tmp_path, "huggingface", tmp_path / "saved", *tasks)
    targets = [task.task_target.value for task in info.tasks]
    assert targets == ["MULTILABEL_CLASSIFICATION", "BINARY_CLASSIFICATION"]
    twice = ["--task", "kind", "--task", "kind=ordinal", "--out", tmp_path, *ABOUT]
    assert "--task names ['kind'] more than once" in refused(
        capsys, "data", "convert", "huggingface", tmp_path / "saved", *twice
    )


def test_convert_refuses(capsys, tmp_path):
    where = ["--out", tmp_path / "out", *ABOUT]
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.zeros(3))
    task = ["--task", "t", "binary", tmp_path / "pickle.npy"]
    assert "without pickles" in refused(
        capsys, "data", "convert", "arrays", tmp_path / "pickle.npy", *task, *where
    )
    task[-1] = tmp_path / "several.npz"
    assert "archive" in refused(
        capsys, "data", "convert", "arrays", tmp_path / "pickle.npy", *task, *where
    )
    task += ["--labels", "other", "a,b"]
    assert "'other' belongs to no --task" in refused(
        capsys, "data", "convert", "csv", "x.csv", *task, *where
    )
    assert "whole numbers" in refused(
        capsys, "data", "convert", "imagefolder", ".", "--labels", "a=b", *where
    )
    assert "1 is here twice; give each number one name" in refused(
        capsys, "data", "convert", "imagefolder", ".", "--labels", "0=a,1=b,1=c", *where
    )
    assert "--domain" in refused(
        capsys, "data", "convert", "imagefolder", ".", "--out", "x", "--id", "x"
    )
    assert not (tmp_path / "out").exists()


def test_synth(capsys, tmp_path):
    more = ["--only", "oct,bus", "--size", "16", "--seed", "3", "--scale", "tiny"]
    status, out, err = run(capsys, "data", "synth", "--out", tmp_path / "s", *more)
    assert (status, err) == (0, "")
    assert "synthetic" in out
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["bus", "oct"]
    assert "did you mean 'oct'" in refused(
        capsys, "data", "synth", "--out", tmp_path / "s", "--only", "octt"
    )


def test_fetch_tells_what_could_not_be_had(capsys, tmp_path, monkeypatch):
    given = {}

    def fetch_open_data(out, **options):
        given.update(options, out=out)
        return fetch.FetchReport(
            (
                fetch.FetchOutcome(
                    "open_digits", "present", tmp_path / "open_digits", "BSD-3-Clause"
                ),
                fetch.FetchOutcome(
                    "open_sketches",
                    "failed",
                    tmp_path / "open_sketches",
                    "CC BY 4.0",
                    reason="no network",
                ),
            )
        )

    monkeypatch.setattr(fetch, "fetch_open_data", fetch_open_data)
    status, out, err = run(
        capsys, "data", "fetch", "open", "--out", tmp_path, "--only", "open_digits", "--limit", "7"
    )
    assert status == 1
    assert out.startswith("open_digits: ")
    assert "licence: BSD-3-Clause" in out
    assert err == "open_sketches: no network\n"
    assert (given["only"], given["limit"], given["size"], given["out"]) == (
        ["open_digits"],
        7,
        64,
        str(tmp_path),
    )
    assert "--out" in refused(capsys, "data", "fetch", "open")
    assert "open_digits" in run(capsys, "data", "fetch", "open", "--list")[1]


def test_weights(capsys, tmp_path, monkeypatch):
    assert "mobilenet_v2" in run(capsys, "weights", "list")[1]
    monkeypatch.setattr(
        fetch, "fetch_weights", lambda out, name, **options: Path(out, name, "file.pth")
    )
    status, out, _ = run(capsys, "weights", "fetch", "mobilenet_v2", "--out", tmp_path)
    assert status == 0
    assert out.startswith(f"{tmp_path / 'mobilenet_v2' / 'file.pth'} (for mobilenet_v2; licence: ")
    monkeypatch.undo()
    assert "did you mean 'mobilenet_v2'" in refused(
        capsys, "weights", "fetch", "mobilenet", "--out", tmp_path
    )
