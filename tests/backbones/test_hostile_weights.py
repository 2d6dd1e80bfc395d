"""Weight files that are cut off, damaged or made to do harm."""

import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from tests.backbones.small_backbones import same, values
from tests.backbones.test_weights import conv4, refused, saved
from tests.examples import max_examples
from torchcross.backbones import load_weights
from torchcross.errors import InputError


class Harm:
    """Unpickled with code, this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [False, True])
def test_code_in_a_file_is_never_run(tmp_path, zipped):
    mark = tmp_path / "harm"
    path = tmp_path / "mine.pth"
    torch.save(
        {**conv4(1).state_dict(), "x": Harm(mark)}, path, _use_new_zipfile_serialization=zipped
    )
    refused(conv4(), path, "code in a file is never run")
    assert not mark.exists()


class Allocation:
    """Unpickled, this is so many bytes."""

    def __init__(self, count):
        self.count = count

    def __reduce__(self):
        return bytearray, (self.count,)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_small_file_takes_little_memory(tmp_path, zipped):
    """Torch's reader of weights alone took 2.9 GB for such a file of 10 kB."""
    path = tmp_path / "mine.pth"
    content = {**conv4(1).state_dict(), "x": Allocation(3 * 10**9)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    refused(conv4(), path, "asks for a bytearray")


def test_a_tensor_that_repeats_one_number_takes_no_memory(tmp_path):
    entries = {**conv4(1).state_dict(), "layers.3.norm.bias": torch.zeros(1).expand(10**12)}
    refused(conv4(), saved(tmp_path / "mine.pth", entries), r"is \(1000000000000,\), not \(8,\)")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 1, 7, 100, 0.5, 0.99])
def test_a_file_that_is_cut_off(tmp_path, suffix, kept):
    path = saved(tmp_path / f"mine{suffix}", conv4(1).state_dict())
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    refused(conv4(), path, "fetch it again")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list"),
        (torch.zeros(2), "holds a Tensor"),
        ({"a": 1, "b": torch.zeros(1)}, "1 of 2 entries that are no tensors.*'a', a int"),
        ({1: torch.zeros(1)}, "no tensors under names"),
        ({}, "24 missing"),
        ({"a": torch.eye(3).to_sparse()}, "sparse"),
        ({"a": torch.empty(2, device="meta")}, "without values"),
    ],
)
def test_a_file_of_other_things(tmp_path, content, message):
    refused(conv4(), saved(tmp_path / "mine.pth", content), message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.full((8,), float("nan")), "'layers.3.norm.bias' has values that are not finite"),
        (torch.full((8,), 1e300, dtype=torch.float64), "not finite"),
        (torch.zeros(8, dtype=torch.int64), "is torch.int64, and torch.float32 is needed"),
        (torch.zeros(8, dtype=torch.complex64), "is torch.complex64"),
    ],
)
def test_values_of_the_wrong_kind(tmp_path, value, message):
    entries = {**conv4(1).state_dict(), "layers.3.norm.bias": value}
    refused(conv4(), saved(tmp_path / "mine.pth", entries), message)


def test_a_packed_archive_is_refused(tmp_path):
    plain = saved(tmp_path / "plain.pth", conv4(1).state_dict())
    path = tmp_path / "mine.pth"
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for member in source.namelist():
            target.writestr(member, source.read(member))
    refused(conv4(), path, "packed members")


def test_a_file_that_is_not_there(tmp_path):
    refused(conv4(), tmp_path / "none.pth", "No such file")
    refused(conv4(), tmp_path, "is no weight file")
    (tmp_path / "folder.pth").mkdir()
    refused(conv4(), tmp_path / "folder.pth", "cannot be read")
    refused(conv4(), tmp_path / "weights.h5", r"\.pth, \.pt, \.bin, \.safetensors")
    refused(conv4(), tmp_path / "model.json", r"fits resnet50_keras\(\) alone")


@pytest.mark.slow
@max_examples(24)
@given(st.integers(0, 2**31), st.integers(0, 255), st.sampled_from([".pth", ".safetensors"]))
def test_a_damaged_byte_is_an_error_or_a_value(tmp_path_factory, place, byte, suffix):
    """Only a changed byte of a weight can go unnoticed without the digest."""
    path = tmp_path_factory.mktemp("damage") / f"mine{suffix}"
    if suffix == ".safetensors":
        path.write_bytes(save(conv4(1).state_dict()))
    else:
        saved(path, conv4(1).state_dict())
    data = bytearray(path.read_bytes())
    data[place % len(data)] = byte
    path.write_bytes(data)
    target = conv4()
    before = values(target)
    try:
        load_weights(target, path, normalisation="none")
    except InputError:
        assert same(before, values(target))
    else:
        assert all(value.isfinite().all() for value in values(target).values())
