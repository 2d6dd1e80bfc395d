"""The peers' environment: `.peers/venv`, built once from the pins and rebuilt when they change."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".peers"
CONSTRAINTS = Path(__file__).with_name("constraints.txt")

_TOOLS = ["cython", "setuptools", "wheel"]
_WHAT_PEERS_NEED = [
    "graphviz",
    "gym",
    "h5py",
    "lightning",
    "numpy",
    "omegaconf",
    "optree",
    "pandas",
    "pillow",
    "pyyaml",
    "requests",
    "scipy",
    "torchmetrics",
    "tqdm",
]
# Without their dependencies: most ask for a torchvision, which would choose its own torch; easyfsl
# asks for matplotlib, learn2learn for gsutil and qpth, none of which is needed for what is compared
# here.
_BARE = ["easyfsl", "higher", "medimeta", "torchcross", "torchopt", "torchvision"]
_IMPORTS = "easyfsl.samplers, higher, learn2learn, medimeta, torchcross.data.metadataset, torchopt"


class PeerError(RuntimeError):
    """The peers' environment could not be built, or a script failed in it."""


def ensure(home: Path = HOME, build: Callable[[Path], None] | None = None) -> Path:
    """The python of the peers' environment, which is built first where it is missing or out of
    date.

    A stamp with the hash of the pins and of this recipe is written last, so a second call costs a
    few small reads, and an interrupted build is never taken for a finished one. A lock keeps two
    processes from building at once.
    """
    environment, stamp, recipe = home / "venv", home / "stamp", fingerprint()
    python = environment / "bin" / "python"

    def ready() -> bool:
        return stamp.is_file() and stamp.read_text() == recipe and python.exists()

    if ready():
        return python
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "lock"):
        if not ready():
            stamp.unlink(missing_ok=True)
            shutil.rmtree(environment, ignore_errors=True)
            (build or build_peers)(environment)
            unfinished = stamp.with_suffix(".part")
            unfinished.write_text(recipe)
            unfinished.replace(stamp)
    return python


def fingerprint() -> str:
    """What the environment depends on: the pins, this recipe, the interpreter and the
    architecture.
    """
    digest = hashlib.sha256()
    for part in (CONSTRAINTS.read_bytes(), Path(__file__).read_bytes()):
        digest.update(hashlib.sha256(part).digest())
    digest.update(f"{sys.version} {sys.base_prefix} {platform.machine()}".encode())
    return digest.hexdigest()


def build_peers(environment: Path) -> None:
    """Install every peer into a fresh virtual environment, then import all of them."""
    print(
        f"building the peers' environment in {environment}: about a minute, once", file=sys.stderr
    )
    log = environment.with_name("build.log")
    log.unlink(missing_ok=True)
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"

    def step(*command: str, cwd: Path | None = None) -> None:
        _logged([str(python), *command], log, cwd)

    def install(*what: str) -> None:
        step(
            "-m",
            "pip",
            "install",
            "--no-input",
            "--no-build-isolation",
            # Most modules are never imported.
            "--no-compile",
            "-c",
            str(CONSTRAINTS),
            *what,
        )

    install(*_TOOLS)
    # First and alone, so that nothing else can choose a torch.
    install("torch")
    install(*_WHAT_PEERS_NEED)
    install("--no-deps", *_BARE)
    with tempfile.TemporaryDirectory() as scratch:
        install("--no-deps", str(_learn2learn_for_this_python(Path(scratch), step)))
    child = Path(__file__).with_name("child.py")
    step(
        "-I",
        "-c",
        f"import runpy; runpy.run_path({str(child)!r})['make_torchvision_importable'](); import"
        f" {_IMPORTS}",
    )


def _learn2learn_for_this_python(scratch: Path, step: Callable[..., None]) -> Path:
    """The source tree of learn2learn with C files made anew.

    Those in its source distribution include longintrepr.h, which left CPython's public headers in
    3.11.
    """
    step(
        *("-m", "pip", "download", "--no-input", "--no-deps", "--no-build-isolation"),
        *("--no-binary", "learn2learn", "-c", str(CONSTRAINTS), "-d", str(scratch), "learn2learn"),
    )
    (archive,) = scratch.glob("learn2learn-*.tar.gz")
    unpack(archive, scratch)
    (source,) = (path for path in scratch.glob("learn2learn-*") if path.is_dir())
    for stale in source.glob("learn2learn/data/*.c"):
        stale.unlink()
    extensions = [
        str(path.relative_to(source)) for path in sorted(source.glob("learn2learn/data/*.pyx"))
    ]
    step("-m", "cython", "-3", *extensions, cwd=source)
    return source


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive of which nothing may land, or point, outside the folder."""
    with tarfile.open(archive) as tar:
        # Filters came with Python 3.11.4; distributions have older ones.
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder, filter="data")
            return
        for member in tar:
            if not _stays_inside(member):
                raise PeerError(
                    f"{archive.name} has the member {member.name!r}, which is no file or folder"
                    " inside its own tree, so nothing of it was unpacked; fetch the archive again."
                )
        tar.extractall(folder)


def _stays_inside(member: tarfile.TarInfo) -> bool:
    """Without "..", names and links lead down from the folder alone, in any combination."""
    kinds = (member.isfile(), member.isdir(), member.issym(), member.islnk())
    paths = (PurePosixPath(member.name), PurePosixPath(member.linkname))
    return any(kinds) and not any(path.is_absolute() or ".." in path.parts for path in paths)


def _logged(command: list[str], log: Path, cwd: Path | None) -> None:
    with log.open("ab") as file:
        file.write(f"$ {' '.join(command)}\n".encode())
        file.flush()
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd
        )
    if done.returncode != 0:
        tail = log.read_text(errors="replace")[-4000:]
        raise PeerError(
            f"Building the peers' environment failed: a command exited with {done.returncode}. The"
            f" next call starts from nothing. The whole log is {log}; it ends with:\n{tail}"
        )
