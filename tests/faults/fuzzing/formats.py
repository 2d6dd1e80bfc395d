"""Valid files of every format that is read, and what reads them."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from medimeta_adapter import MedIMetaDataset
from medimeta_adapter.convert import About, CsvTask, Options, csv_images, image_folder, medmnist
from tests.algorithms.cases import TARGETS, episode_of
from tests.faults.bit_flips import Files, restore
from tests.faults.fuzzing import study_formats
from tests.faults.run_flips import EXPERIMENT, FlippedRun
from tests.medimeta.make import LABELS, MULTI, write_dataset
from torchcross._kit import tensor_files
from torchcross._kit.content_hash import FIELD, with_hash, with_hash_line
from torchcross.algorithms import ProtoNet, load_predictor
from torchcross.backbones import conv4, load_weights
from torchcross.data import EpisodeSampler, ImageFolderSource, load_plans, save_plans, toys
from torchcross.experiment import read_experiment, run_experiment, verify_run, write_page
from torchcross.experiment.run.examples import read_example
from torchcross.records import Means, read_means, read_records
from torchcross.records.files import write_records
from torchcross.training.checkpoints import Checkpoints, step_of

ABOUT = About(id="mine", domain="Mine")
COUNT = 12


def _as_is(content: bytes) -> bytes:
    return content


@dataclass(frozen=True)
class Format:
    """`make` writes files into a folder and returns the one that is changed, for `read`.

    inner, outer  the part of the content that is changed, and the content with this part; where
                  there is a content hash, it fits again, so that what lies behind it is reached
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    tokens: tuple[bytes, ...] = ()
    inner: Callable[[bytes], bytes] = _as_is
    outer: Callable[[bytes], bytes] = _as_is


# -- datasets --------------------------------------------------------------------------------------


def _dataset(name: str, **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        people = [f"p{number}" for number in range(COUNT)]
        place = write_dataset(folder, tasks=(MULTI, LABELS), patients=people, **options)
        return place / name

    return make


def _read_dataset(path: Path) -> Any:
    folder = next(place for place in path.parents if (place / "info.yaml").is_file())
    dataset = MedIMetaDataset(folder)
    labels = [dataset.labels(task.name) for task in dataset.info.tasks]
    splits = [dataset.split(name) for name in ("train", "val", "test")]
    images = dataset.images(range(min(len(dataset), COUNT)))
    return repr(dataset), labels, splits, dataset.subjects(), dataset.annotations(), images


# -- pictures and tables ---------------------------------------------------------------------------


def _pictures(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 9, 8, 3), dtype=np.uint8)
        for number, image in enumerate(pixels):
            path = folder / "images" / "ab"[number % 2] / f"{number}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
        return folder / "images" / "a" / f"4.{suffix}"

    return make


def _read_pictures(path: Path) -> Any:
    root = path.parents[1]
    source = ImageFolderSource(root, name="a", size=8)
    images = source.images(np.arange(len(source)))
    options = Options(size=8, threads=1, tiffs=False)
    return images, image_folder(root, root.with_name("out"), ABOUT, options=options)


def _table(folder: Path) -> Path:
    _pictures("png")(folder)
    rows = [f"images/{'ab'[n % 2]}/{n}.png,{n % 3},p{n % 4},{n}.5" for n in range(COUNT)]
    path = folder / "table.csv"
    path.write_text("\n".join(["path,kind,who,age", *rows, ""]), encoding="utf-8")
    return path


def _read_table(path: Path) -> Any:
    task = CsvTask("kind", "multiclass", "kind")
    options = Options(size=8, threads=1, tiffs=False)
    return csv_images(path, path.parent / "out", ABOUT, tasks=[task], options=options)


def _medmnist(folder: Path) -> Path:
    path = folder / "mine.npz"
    arrays: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8)
        arrays[f"{split}_labels"] = np.arange(6, dtype=np.uint8)[:, None] % 2
    np.savez_compressed(path, **arrays)
    return path


def _read_medmnist(path: Path) -> Any:
    options = Options(tiffs=False, threads=1)
    out = path.parent / "out"
    return medmnist(path, out, ABOUT, kind="multi-class", labels=["a", "b"], options=options)


# -- runs ------------------------------------------------------------------------------------------


@cache
def _run() -> Files:
    with tempfile.TemporaryDirectory() as folder:
        return FlippedRun.prepare(Path(folder) / "run").whole


def _run_file(start: str, end: str = "") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        restore(folder / "run", _run())
        names = [name for name in _run() if name.startswith(start) and name.endswith(end)]
        return folder / "run" / names[-1]

    return make


def _read_run(path: Path) -> Any:
    run = next(place for place in path.parents if (place / "experiment.json").is_file())
    verification = str(verify_run(run))
    page = write_page(run).read_text(encoding="utf-8")
    return verification, page, run_experiment(EXPERIMENT, run).failures


def _hashed_json(content: bytes) -> bytes:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if not isinstance(record, dict):
        return content
    fields = {name: value for name, value in record.items() if name != FIELD}
    return json.dumps(with_hash(fields)).encode()


def _without_hash_line(content: bytes) -> bytes:
    return content.rpartition(b"# sha256")[0]


def _read_checkpoint(path: Path) -> Any:
    step = step_of(path)
    assert step is not None
    return Checkpoints(path.parent, keep=1).read(step)


def _hashed_tensors(content: bytes) -> bytes:
    """With the content hash that fits, where the file says that it has one."""
    mark = f'"{tensor_files.HASH}":"'.encode()
    place = content.find(mark) + len(mark)
    if place < len(mark):
        return content
    start, end = content[:place], content[place + 64 :]
    digest = hashlib.sha256(start + b"0" * 64 + end).hexdigest()
    return start + digest.encode() + end


def _record_of_example(content: bytes) -> bytes:
    with np.load(io.BytesIO(content)) as arrays:
        return bytes(arrays["told"].tobytes())


def _example_with(record: bytes) -> bytes:
    """The last example of the run with another record."""
    content = [content for name, content in _run().items() if name.startswith("examples/")][-1]
    with np.load(io.BytesIO(content)) as arrays:
        pixels = arrays["pixels"]
    file = io.BytesIO()
    text = np.frombuffer(_hashed_json(record), dtype=np.uint8)
    np.savez_compressed(file, told=text, pixels=pixels)
    return file.getvalue()


# -- tensors, plans, tables ------------------------------------------------------------------------


def _predictor(folder: Path) -> Path:
    episode = episode_of(TARGETS["multiclass"], size=16)
    path = folder / "predictor.safetensors"
    net = conv4(channels=2, in_channels=episode.support.x.shape[1])
    ProtoNet(net).adapt(episode.support, episode.task).save(path)
    return path


def _weights(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"weights.{suffix}"
        state = conv4(channels=2).state_dict()
        if suffix == "pth":
            torch.save(state, path)
        else:
            tensor_files.write(path, state, {})
        return path

    return make


def _read_weights(path: Path) -> Any:
    return load_weights(conv4(channels=2), path, normalisation="none")


def _plans(folder: Path) -> Path:
    path = folder / "plans.npz"
    save_plans(path, EpisodeSampler(toys.multiclass(size=8), shots=1, queries=1), range(3))
    return path


def _read_plans(path: Path) -> Any:
    plans = load_plans(path, toys.multiclass(size=8))
    return [plans[place] for place in range(len(plans))]


def _parquet(folder: Path) -> Path:
    rows = _run_file("rows/")(folder)
    return write_records(read_records(rows), folder / "rows.parquet")


def _means(folder: Path) -> Path:
    path = folder / "means.csv"
    path.write_text("domain,target,maml,protonet\nx,a,0.5,61.2\n,b,,0.25\ny,c,nan,1e-3\n")
    return path


def _read_means(path: Path) -> Any:
    means = read_means(path)
    assert isinstance(means, Means)
    return repr(means)


def _toml(folder: Path) -> Path:
    path = folder / "experiment.toml"
    text = (Path(__file__).parents[3] / "medimeta_adapter" / "commands" / "demo.toml").read_text()
    path.write_text(text.replace("[data]\n", '[data]\nfolder = "data"\n'), encoding="utf-8")
    return path


_JSON = (b'"sha256"', b'"experiment"', b"{}", b"[]", b"[null]", b"1e999", b"true", b"-1")
_YAML = (b"tasks:", b"labels:", b"- ", b"input_size: [1, 1]", b"MULTILABEL_CLASSIFICATION")
_NPY = (b"\x93NUMPY", b"'descr': '|O'", b"(1099511627776,)", b"'<M8'", b"True", b"PK\x01\x02")
_TENSORS = (
    b'"dtype":"F64"',
    b'"shape":[]',
    b'"data_offsets":[0,0]',
    b'"__metadata__"',
    b'\\"',
    *_JSON,
)

FORMATS: dict[str, Format] = {
    "info.yaml": Format(_dataset("info.yaml"), _read_dataset, _YAML),
    "annotations": Format(_dataset("annotations.csv"), _read_dataset, (b"patient_id", b"nan")),
    "labels": Format(_dataset(f"task_labels/{MULTI['task_name']}.npy"), _read_dataset, _NPY),
    "multi-labels": Format(_dataset(f"task_labels/{LABELS['task_name']}.npy"), _read_dataset, _NPY),
    "split": Format(_dataset("splits/train.txt"), _read_dataset, (b"images/000001.tiff\n",)),
    "HDF5": Format(_dataset("images.hdf5"), _read_dataset, (b"OHDR", b"TREE", b"SNOD")),
    "HDF5, chunks": Format(
        _dataset("images.hdf5", hdf5_options={"chunks": (2, 6, 5), "compression": 1}),
        _read_dataset,
        (b"TREE", b"SNOD"),
    ),
    "TIFF of a dataset": Format(
        _dataset("images/000003.tiff", tiffs=True, hdf5=False), _read_dataset, (b"II*\0",)
    ),
    "PNG": Format(_pictures("png"), _read_pictures, (b"IHDR", b"IDAT", b"tEXt", b"PLTE")),
    "TIFF": Format(_pictures("tiff"), _read_pictures, (b"II*\0", b"MM\0*")),
    "table": Format(_table, _read_table, (b"kind", b"../a.png", b"=1+1")),
    "MedMNIST": Format(_medmnist, _read_medmnist, _NPY),
    "experiment.json": Format(_run_file("experiment"), _read_run, _JSON, outer=_hashed_json),
    "protocol.json": Format(_run_file("protocol"), _read_run, _JSON, outer=_hashed_json),
    "provenance.json": Format(_run_file("provenance"), _read_run, _JSON, outer=_hashed_json),
    "failures.json": Format(_run_file("failures"), _read_run, _JSON, outer=_hashed_json),
    "page.json": Format(_run_file("page"), _read_run, _JSON, outer=_hashed_json),
    "episodes": Format(_run_file("episodes/"), _read_run, _JSON, outer=_hashed_json),
    "training.json": Format(
        _run_file("train/", "training.json"), _read_run, _JSON, outer=_hashed_json
    ),
    "log": Format(
        _run_file("train/", "log.csv"), _read_run, (), _without_hash_line, with_hash_line
    ),
    "rows": Format(_run_file("rows/"), _read_run, (b"nan",), _without_hash_line, with_hash_line),
    "rows without a hash": Format(_run_file("rows/"), read_records, (), _without_hash_line),
    "Parquet": Format(_parquet, read_records, (b"PAR1",)),
    "example": Format(_run_file("examples/"), read_example, _NPY),
    "record of an example": Format(
        _run_file("examples/"), read_example, _JSON, _record_of_example, _example_with
    ),
    "example of a run": Format(
        _run_file("examples/"), _read_run, _JSON, _record_of_example, _example_with
    ),
    "checkpoint": Format(
        _run_file("train/", "03.safetensors"), _read_checkpoint, _TENSORS, outer=_hashed_tensors
    ),
    "predictor": Format(_predictor, load_predictor, _TENSORS, outer=_hashed_tensors),
    "weights": Format(_weights("safetensors"), _read_weights, _TENSORS, outer=_hashed_tensors),
    "weights of torch": Format(_weights("pth"), _read_weights, (b"ctorch\n", b"c__builtin__\n")),
    "plans": Format(_plans, _read_plans, (*_NPY, *_JSON)),
    "means": Format(_means, _read_means, (b"mean", b"target", b"1_0")),
    **{
        f"published {name}": Format(study_formats.table_file(name), study_formats.read_tables, mix)
        for name, mix in study_formats.WORDS.items()
    },
    "study.json": Format(
        study_formats.study_file, study_formats.read_study_file, _JSON, outer=_hashed_json
    ),
    "TOML": Format(_toml, read_experiment, (b"[data]", b"= 1979-05-27", b"[[a]]", b"'''")),
}
