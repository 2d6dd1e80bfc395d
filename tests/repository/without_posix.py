"""Both packages at work in a process that lacks what Windows lacks. Prints what it did."""

import importlib
import os
import signal
import sys
import warnings
from pathlib import Path

# Other packages look for these at import and have their own ways on Windows.
import filelock  # noqa: F401
import h5py  # noqa: F401
import numpy as np
import rich.progress  # noqa: F401
import safetensors.torch  # noqa: F401
import sklearn.model_selection  # noqa: F401
import torch  # noqa: F401
import yaml  # noqa: F401
from PIL import Image

ROOT = Path(__file__).parents[2]
# Not `statvfs` and `O_NONBLOCK`: the standard library and filelock use them on this system.
MODULES = ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog", "posix")
OS_NAMES = (
    *("pwrite", "pwritev", "pread", "preadv", "fork", "forkpty", "sync", "fdatasync"),
    *("getuid", "geteuid", "getgid", "getegid", "uname", "killpg", "setsid", "mkfifo", "chown"),
    *("sched_getaffinity", "posix_fallocate", "posix_fadvise", "sysconf", "fchmod", "fchown"),
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_SYNC"),
)
SIGNAL_NAMES = (
    *("SIGKILL", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGCHLD"),
    *("pthread_sigmask", "alarm", "setitimer", "sigwait", "SIG_BLOCK", "SIG_SETMASK"),
)


def take_posix_away():
    for name in MODULES:
        # Importing it raises ImportError then.
        sys.modules[name] = None  # type: ignore[assignment]
    for module, names in ((os, OS_NAMES), (signal, SIGNAL_NAMES)):
        for name in names:
            if hasattr(module, name):
                delattr(module, name)


def import_everything():
    paths = [path for name in ("torchcross", "medimeta_adapter") for path in modules_of(name)]
    for path in paths:
        parts = path.relative_to(ROOT).with_suffix("").parts
        importlib.import_module(".".join(parts).removesuffix(".__init__"))
    return len(paths)


def modules_of(package):
    paths = (ROOT / package).rglob("*.py")
    return sorted(path for path in paths if path.name != "__main__.py")


def convert_a_folder(folder):
    from medimeta_adapter import MedIMetaDataset
    from medimeta_adapter.convert import About, Options, image_folder

    for label in ("disc", "star"):
        (folder / "images" / label).mkdir(parents=True)
        for number in range(12):
            pixels = np.full((20, 20), 10 * number + 5 * (label == "star"), np.uint8)
            Image.fromarray(pixels).save(folder / "images" / label / f"{number}.png")
    image_folder(
        folder / "images", folder, About("shapes", "drawings"), options=Options(size=16, threads=2)
    )
    return len(MedIMetaDataset(folder / "shapes").source())


def synthesise(folder):
    from torchcross.cli import main

    status = main(["data", "synth", "--out", str(folder / "data"), "--size", "16", "--only", "oct"])
    assert status == 0
    return (folder / "data" / "oct" / "images.hdf5").is_file()


def train(folder):
    from medimeta_adapter import MedIMeta
    from torchcross.algorithms import ProtoNet
    from torchcross.backbones import conv4
    from torchcross.data import EpisodeSampler
    from torchcross.training import FitOptions, fit

    source = MedIMeta(folder / "data").source("oct")
    sampler = EpisodeSampler(source, ways=2, shots=1, queries=2, seed=0)
    algorithm = ProtoNet(conv4(4, in_channels=source.images(np.array([0])).shape[1], seed=0))
    return fit(algorithm, sampler, FitOptions(steps=3, meta_batch=2), folder=folder / "run").steps


def main():
    folder = Path(sys.argv[1])
    take_posix_away()
    warnings.simplefilter("error")
    assert import_everything() > 300
    assert convert_a_folder(folder) == 24
    assert synthesise(folder)
    assert train(folder) == 3
    sys.stdout.write("all done\n")


if __name__ == "__main__":
    main()
