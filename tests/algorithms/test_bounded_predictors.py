"""A small predictor file takes little memory, whatever its record says of its backbone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from torchcross import backbones
from torchcross._kit import tensor_files
from torchcross.algorithms import ProtoNet, load_predictor
from torchcross.algorithms._shared.predictor_files import FORMAT
from torchcross.backbones.build import sketch
from torchcross.data import Episodes, EpisodeSampler, toys
from torchcross.errors import InputError

ROOT = Path(__file__).parents[2]
EPISODE = Episodes(EpisodeSampler(toys.multiclass(60, size=16), shots=1, queries=1, seed=0))[0]


def many_classes(record):
    names = [f"c{number}" for number in range(6_000)]
    record["form"] = "ridge"
    record["task"] |= {"classes": names, "values": list(range(len(names)))}


def described(name, **options):
    return lambda record: record.update(backbone={"name": name, "options": options})


# Before there were bounds, each of these took from hundreds of megabytes to all there were.
HOSTILE = {
    "wide": described("conv4", channels=6000, grey="expand"),
    "wider": described("conv4", channels=200_000, grey="expand"),
    "channels": described("conv4", channels=4, in_channels=10**9),
    "deep": described("small_vit", depth=10**9),
    "large": described("small_vit", image_size=8 * 10**5),
    "overflow": described("conv4", channels=2**62),
    "classes": many_classes,
}


def write_hostile(path, change):
    ProtoNet(backbones.conv4(4, grey="expand")).adapt(EPISODE.support, EPISODE.task).save(path)
    tensors, metadata = tensor_files.read(path)
    record = json.loads(metadata[FORMAT])
    change(record)
    if record["form"] == "ridge":
        tensors = {name: value for name, value in tensors.items() if not name.startswith("head:")}
        tensors |= {"head:head.weight": torch.zeros(4, 5), "head:head.scale": torch.ones(())}
    tensor_files.write(path, tensors, {FORMAT: json.dumps(record)})


@pytest.mark.parametrize("which", HOSTILE)
def test_a_description_larger_than_its_file_is_refused(which, tmp_path):
    path = tmp_path / "hostile.safetensors"
    write_hostile(path, HOSTILE[which])
    with pytest.raises((InputError, RuntimeError), match=r"hostile\.safetensors"):
        load_predictor(path)


# The peak of a process counts torch's own memory, which tracemalloc does not see.
PEAKS = """
import sys
from torchcross._kit.process_memory import most_resident_bytes
from torchcross.algorithms import load_predictor
from torchcross.errors import TorchcrossError

load_predictor(sys.argv[1])
before = most_resident_bytes()
for path in sys.argv[2:]:
    try:
        load_predictor(path)
    except TorchcrossError:
        continue
    sys.exit(f"{path} was loaded")
print(most_resident_bytes() - before)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="the peak of a process is read as on POSIX")
def test_hostile_files_take_little_memory(tmp_path):
    paths = [tmp_path / f"{which}.safetensors" for which in ("good", *HOSTILE)]
    for path in paths:
        write_hostile(path, HOSTILE.get(path.stem, lambda record: None))
    ran = subprocess.run(
        [sys.executable, "-c", PEAKS, *map(str, paths)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 100e6


def test_a_sketch_has_the_shapes_and_no_memory():
    real = backbones.small_vit(image_size=16, width=12, depth=2, heads=2)
    shape = sketch(real.spec.as_dict(), dict(real.state_dict()))
    assert all(value.is_meta for value in (*shape.parameters(), *shape.buffers()))
    assert {name: value.shape for name, value in shape.named_parameters()} == {
        name: value.shape for name, value in real.named_parameters()
    }
    assert shape.spec == real.spec
    # Backbones that are built afterwards are real again.
    assert not any(value.is_meta for value in backbones.conv4(4).parameters())
    with pytest.raises(InputError, match="far larger backbone than the 1 tensors of 3 numbers"):
        sketch({"name": "resnet50"}, {"a": torch.zeros(3)})
    assert not any(value.is_meta for value in backbones.conv4(4).parameters())
