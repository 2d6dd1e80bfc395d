"""Predictors, and the files that hold them."""

import json

import pytest
import torch
from torch import nn

from tests.algorithms.cases import TARGETS, Net, episode_of
from torchcross import backbones
from torchcross._kit import tensor_files
from torchcross.algorithms import MAML, FineTune, ProtoNet, load_predictor
from torchcross.algorithms._shared.predictor_files import FORMAT
from torchcross.backbones.input_normalisation import InputNormalisation
from torchcross.data import Episodes, EpisodeSampler, toys
from torchcross.data.loading.augment import Normalise
from torchcross.episode import Batch
from torchcross.errors import InputError, ReadError, WriteError
from torchcross.targets import MultiClass, Ordinal
from torchcross.task import Task

EVERY_DTYPE = {
    "a": torch.arange(6, dtype=torch.float64).reshape(2, 3),
    "b": torch.tensor([1.5, -0.0, float("nan")], dtype=torch.float32),
    "c": torch.tensor([[1.5]], dtype=torch.bfloat16),
    "d": torch.tensor(3, dtype=torch.int64),
    "e": torch.zeros(0, 4, dtype=torch.float16),
    "f": torch.tensor([True, False]),
    "g": torch.tensor([200], dtype=torch.uint8),
}


@pytest.fixture
def saved(tmp_path):
    episode = episode_of(TARGETS["multiclass"])
    predictor = MAML(Net(), steps=1).adapt(episode.support, episode.task)
    path = tmp_path / "predictor.safetensors"
    predictor.save(path)
    return path


def test_tensors_come_back_to_the_bit(tmp_path):
    path = tmp_path / "t.safetensors"
    tensor_files.write(
        path, EVERY_DTYPE | {"view": torch.arange(9.0).reshape(3, 3).T}, {"note": "é"}
    )
    tensors, metadata = tensor_files.read(path)
    assert metadata.keys() == {"note", tensor_files.HASH}
    assert metadata["note"] == "é"
    for name, value in EVERY_DTYPE.items():
        assert (tensors[name].dtype, tensors[name].shape) == (value.dtype, value.shape)
        assert (
            tensors[name].view(torch.uint8).tolist() == value.view(torch.uint8).tolist()
            if value.ndim
            else True
        )
    assert torch.equal(tensors["view"], torch.arange(9.0).reshape(3, 3).T)
    tensors["a"].add_(1)
    with pytest.raises(InputError, match="complex128"):
        tensor_files.write(path, {"z": torch.zeros(1, dtype=torch.complex128)}, {})
    assert list(tmp_path.iterdir()) == [path]
    assert torch.equal(tensor_files.read(path)[0]["a"], EVERY_DTYPE["a"])


def test_views_of_one_storage_are_written_apart(tmp_path):
    whole, path = torch.arange(6.0), tmp_path / "t.safetensors"
    tensor_files.write(path, {"whole": whole, "again": whole, "part": whole[2:4]}, {})
    tensors, _ = tensor_files.read(path)
    tensors["whole"].zero_()
    assert (tensors["again"].tolist(), tensors["part"].tolist()) == ([0, 1, 2, 3, 4, 5], [2, 3])


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "t.safetensors"
    tensor_files.write(path, {"a": torch.zeros(1)}, {})
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(
        WriteError, match=r"t\.safetensors cannot be written \(No space left on device\)"
    ):
        tensor_files.write(path, {"a": torch.ones(9)}, {})
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (before, [path])
    with pytest.raises(WriteError, match="give a path in a folder that exists"):
        tensor_files.write(tmp_path / "none" / "t.safetensors", {}, {})


def test_the_same_predictor_makes_the_same_file(saved, tmp_path):
    again = tmp_path / "again.safetensors"
    load_predictor(saved, backbone=Net()).save(again)
    assert again.read_bytes() == saved.read_bytes()


def header_of(path):
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def rewrite(path, header, data):
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def entry(**changes):
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ("", b""),
        ("[]", b""),
        ("{" * 3000, b""),
        ("[" * 100_000, b""),
        ('{"a": 1, "a": 2}', b""),
        (f'{{"a": {json.dumps(entry())}, "a": {json.dumps(entry())}}}', b"12345678"),
        ({"a": 3}, b""),
        ({"a": entry()}, b"1234567"),
        ({"a": entry()}, b"123456789"),
        ({"a": entry(dtype="F33")}, b"12345678"),
        ({"a": entry(dtype=["F32"])}, b"12345678"),
        ({"a": entry(shape=[3])}, b"12345678"),
        ({"a": entry(shape=[-2])}, b"12345678"),
        ({"a": entry(shape=[-1, -2])}, b"12345678"),
        ({"a": entry(shape=[2.0])}, b"12345678"),
        ({"a": entry(shape=[True, 2])}, b"12345678"),
        ({"a": entry(shape=[2**62, 4])}, b"12345678"),
        ({"a": entry(data_offsets=[8, 0])}, b"12345678"),
        ({"a": entry(data_offsets=[-8, 0])}, b"12345678"),
        ({"a": entry(data_offsets=[4, 12])}, b"123456789012"),
        ({"a": entry(), "b": entry(data_offsets=[4, 12])}, b"123456789012"),
        ({"__metadata__": {"a": 1}}, b""),
        ({"__metadata__": []}, b""),
    ],
)
def test_damaged_files_are_refused(tmp_path, header, data):
    path = tmp_path / "bad.safetensors"
    rewrite(path, header, data)
    with pytest.raises(ReadError, match=r"bad\.safetensors is no safetensors file"):
        tensor_files.read(path)


def test_files_that_are_cut_or_not_there(saved, tmp_path):
    whole = saved.read_bytes()
    for length in (0, 4, 8, 100, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(ReadError, match="no safetensors file"):
            load_predictor(saved, backbone=Net())
    saved.write_bytes((2**63).to_bytes(8, "little") + whole[8:])
    with pytest.raises(ReadError, match=r"no safetensors file.*cut off"):
        load_predictor(saved)
    with pytest.raises(ReadError, match="cannot be read"):
        load_predictor(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda meta, record: meta.update(other=meta.pop(FORMAT)), "holds no predictor"),
        (lambda meta, record: meta.update({FORMAT: "{"}), "no JSON"),
        (lambda meta, record: record.update(version=9), "format version 9"),
        (lambda meta, record: record.pop("norm"), "no usable 'norm'"),
        (lambda meta, record: record.update(step="3"), "no usable 'step'"),
        (lambda meta, record: record.update(form="round"), "unknown form 'round'"),
        (lambda meta, record: record["task"].update(kind="regression"), "task cannot be read"),
        (lambda meta, record: record["task"].update(loss="none"), "task cannot be read"),
        (lambda meta, record: record["task"].pop("classes"), "task cannot be read"),
    ],
)
def test_records_that_cannot_be_used(saved, change, match):
    header, data = header_of(saved)
    meta, record = header["__metadata__"], json.loads(header["__metadata__"][FORMAT])
    del meta[tensor_files.HASH]
    change(meta, record)
    if meta.get(FORMAT, "{") != "{":
        meta[FORMAT] = json.dumps(record)
    rewrite(saved, header, data)
    with pytest.raises(ReadError, match=match):
        load_predictor(saved, backbone=Net())


def test_a_backbone_that_does_not_fit(saved):
    with pytest.raises(InputError, match=r"backbone of your own.*load_predictor\(path, backbone="):
        load_predictor(saved)
    with pytest.raises(InputError, match=r"lacks 2 params of Sequential, such as '0.bias'"):
        load_predictor(saved, backbone=nn.Sequential(nn.Linear(2, 2)))
    wide = Net()
    wide.conv1 = nn.Conv2d(1, 5, 3)
    with pytest.raises(
        InputError, match=r"'conv1.weight' has the shape \(3, 1, 3, 3\).*expects \(5, 1, 3, 3\)"
    ):
        load_predictor(saved, backbone=wide)
    fewer = Net()
    del fewer.norm2
    with pytest.raises(InputError, match=r"that Net has not, such as 'norm2\.bias'"):
        load_predictor(saved, backbone=fewer)


def test_the_file_says_what_it_is(saved):
    header, _ = header_of(saved)
    record = json.loads(header["__metadata__"][FORMAT])
    assert record["task"]["classes"] == ["disc", "square", "star"]
    assert record["protocol"]["algorithm"] == "MAML"
    assert record["norm"] == record["protocol"]["norm"] == "batch"


@pytest.mark.parametrize(
    "source", [toys.multiclass(60), toys.ordinal(60), toys.multilabel(60), toys.binary(60)]
)
def test_a_backbone_of_the_library_is_in_the_file(source, tmp_path):
    episode = Episodes(EpisodeSampler(source, shots=2, queries=2, seed=0))[3]
    backbone = backbones.conv4(4, in_channels=3, grey="expand", seed=2)
    predictor = FineTune(backbone, steps=2, normalise=Normalise((0.5,), (0.25,))).adapt(
        episode.support, episode.task
    )
    predictor.save(tmp_path / "p.safetensors")
    loaded = load_predictor(tmp_path / "p.safetensors")
    assert torch.equal(predictor.logits(episode.query.x), loaded.logits(episode.query.x))
    assert loaded.task == episode.task
    assert loaded.protocol["pixels"] == {"mean": [0.5], "std": [0.25], "left_alone": False}
    assert predictor.to("cpu").logits(episode.query.x).shape == (
        len(episode.query),
        episode.task.target.num_outputs,
    )
    single = loaded(episode.query.x[:1])
    assert torch.allclose(
        single.probabilities, predictor(episode.query.x).probabilities[:1], atol=1e-5
    )


def test_grades_missing_values_and_losses_survive(tmp_path):
    target = Ordinal(
        {0: "none", 1: "some", 7: "much"},
        loss="soft_labels",
        tau=2.0,
        missing=(-9, float("nan"), "?"),
    )
    weighted = MultiClass({3: "a", 5: "b"}, class_weights=[1.0, 3.0], smoothing=0.1)
    for task in (Task("scale", target, "skin"), Task("kind", weighted)):
        episode = episode_of(task.target)
        predictor = ProtoNet(Net()).adapt(episode.support, task)
        predictor.save(tmp_path / "p.safetensors")
        loaded = load_predictor(tmp_path / "p.safetensors", Net())
        assert repr(loaded.task) == repr(task)
        assert loaded.task.target.values == task.target.values
        assert loaded.task.target.loss_options == task.target.loss_options


def test_pixels():
    like = torch.zeros((), dtype=torch.float64)
    bytes_, floats = torch.full((2, 3, 4, 4), 51, dtype=torch.uint8), torch.full((2, 3, 4, 4), 0.2)
    plain, normed = InputNormalisation(), InputNormalisation((0.1, 0.2, 0.3), (1.0, 2.0, 0.5))
    torch.testing.assert_close(plain(bytes_, "x", like), floats.double(), rtol=1e-7, atol=0)
    expected = (
        torch.tensor([0.1, 0.0, -0.2], dtype=torch.float64).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    )
    torch.testing.assert_close(normed(bytes_, "x", like), expected)
    assert InputNormalisation(left_alone=True)(bytes_, "x", like) is bytes_
    for bad in (((0.1,), ()), ((0.1,), (0.0,)), ((float("nan"),), (1.0,))):
        with pytest.raises(InputError, match="one finite mean and one positive std"):
            InputNormalisation(*bad)
    with pytest.raises(
        InputError, match=r"the batch has the shape \(2, 1, 4, 4\) and the normalisation 3 channels"
    ):
        normed(bytes_[:, :1], "the batch", like)


def test_normalising_twice_is_refused():
    record = backbones.WeightRecord(name="w", source="s", sha256="0" * 64, mean=(0.5,), std=(0.5,))
    spec = backbones.BackboneSpec(
        "conv4", {"in_channels": 1, "channels": 4}, record, normalises=True
    )
    inside = backbones.build(spec)
    with pytest.raises(InputError, match="normalises its images itself"):
        MAML(inside, normalise=Normalise((0.5,), (0.5,)))
    episode = Episodes(EpisodeSampler(toys.binary(60), shots=2, queries=2, seed=0))[0]
    assert episode.support.x.dtype == torch.uint8
    one = ProtoNet(inside).adapt(episode.support, episode.task).logits(episode.query.x)
    outside = backbones.build({"name": "conv4", "options": {"in_channels": 1, "channels": 4}})
    two = ProtoNet(outside, normalise=Normalise((0.5,), (0.5,))).adapt(
        episode.support, episode.task
    )
    torch.testing.assert_close(one, two.logits(episode.query.x), rtol=1e-4, atol=1e-4)


def test_an_empty_batch_has_no_prediction():
    episode = episode_of(TARGETS["binary"])
    predictor = ProtoNet(Net()).adapt(Batch(episode.support.x, episode.support.y), episode.task)
    with pytest.raises(InputError, match="no images"):
        predictor(episode.query.x[:0])


def test_arrays_are_predicted_as_tensors_are():
    episode = episode_of(TARGETS["binary"])
    predictor = ProtoNet(Net()).adapt(episode.support, episode.task)
    array = episode.query.x.numpy()
    for images in (array, array.astype(">f8"), array[::-1][::-1]):
        assert torch.equal(predictor.logits(images), predictor.logits(episode.query.x))
        assert torch.equal(
            predictor(images).probabilities, predictor(episode.query.x).probabilities
        )
    assert torch.equal(predictor.features(array), predictor.features(episode.query.x))
    for images in (array.tolist(), array.astype(object), "a.png"):
        with pytest.raises(InputError, match="give a tensor or an array"):
            predictor(images)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_images_that_are_no_numbers_are_refused_by_number(value):
    episode = episode_of(TARGETS["binary"])
    predictor = ProtoNet(Net()).adapt(episode.support, episode.task)
    images = episode.query.x.clone()
    images[[1, 4], 0, 2, 3] = value
    for call in (predictor, predictor.logits, predictor.features):
        with pytest.raises(InputError, match=r"in 2 of 6 images: images 1, 4; repair"):
            call(images)
        call(images, check_pixels=False)
    many = images.expand(3, *images.shape).flatten(0, 1) * value
    with pytest.raises(InputError, match=r"in 18 of 18 images: images 0, 1, .*9, \.\.\.; repair"):
        predictor(many)


class Doubled(MultiClass):
    """A target of a user's own."""


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda task, protocol: protocol.update(backbone=object()), "no plain JSON"),
        (
            lambda task, protocol: object.__setattr__(task.target, "__class__", Doubled),
            "Doubled is a target of your own",
        ),
        (
            lambda task, protocol: object.__setattr__(task.target, "loss_name", "mine"),
            "its task could not be read again.*no loss 'mine'",
        ),
        (
            lambda task, protocol: object.__setattr__(
                task.target, "loss_options", (("smoothing", (0.1,)),)
            ),
            "its task could not be read again",
        ),
    ],
)
def test_a_predictor_that_could_not_be_read_again_is_not_saved(tmp_path, change, match):
    episode = episode_of(MultiClass(["disc", "square", "star"]))
    predictor = ProtoNet(Net()).adapt(episode.support, episode.task)
    change(predictor.task, predictor.protocol)
    with pytest.raises(InputError, match=rf"p\.safetensors cannot be written: .*{match}"):
        predictor.save(tmp_path / "p.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize(
    "make",
    [
        lambda: backbones.small_vit(image_size=16, width=12, depth=1, heads=2, grey="expand"),
        lambda: backbones.resnet18(grey="expand"),
    ],
    ids=["vit", "resnet18"],
)
def test_second_order_through_the_librarys_backbones(make, tmp_path):
    source = toys.multilabel(60, size=16)
    episode = Episodes(EpisodeSampler(source, shots=1, queries=1, seed=0))[0]
    learner = MAML(make(), steps=2, lr=0.01)
    learner.meta_loss([episode]).backward()
    assert all(torch.isfinite(value.grad).all() for value in learner.parameters())
    predictor = learner.adapt(episode.support, episode.task)
    predictor.save(tmp_path / "p.safetensors")
    loaded = load_predictor(tmp_path / "p.safetensors")
    assert torch.equal(loaded.logits(episode.query.x), predictor.logits(episode.query.x))
