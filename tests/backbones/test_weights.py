import hashlib
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from tests.backbones import published_layouts
from tests.backbones.small_backbones import images, same, values
from torchcross import backbones
from torchcross.backbones import as_backbone, load_weights
from torchcross.backbones import weights as module_of_weights
from torchcross.errors import InputError


def conv4(seed=0, **options):
    return backbones.conv4(8, seed=seed, **options)


def saved(path, tensors):
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    else:
        torch.save(tensors, path)
    return path


def refused(backbone, path, message, **options):
    """Loading fails with this message and leaves the backbone as it was."""
    before, record = values(backbone), backbone.weights
    with pytest.raises(InputError, match=message):
        load_weights(backbone, path, **{"normalisation": "none", **options})
    assert same(before, values(backbone))
    assert backbone.weights is record
    assert not backbone.normalises


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
def test_what_was_saved_is_loaded_to_the_bit(tmp_path, suffix):
    source = conv4(1)
    source(images())
    path = saved(tmp_path / f"mine{suffix}", source.state_dict())
    target = conv4(2)
    record = load_weights(target, path, normalisation="none", licence="MIT", input_size=(84, 84))
    assert same(values(target), values(source))
    assert target.weights is record
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (record.name, record.source, record.licence, record.input_size) == (
        "mine",
        path.name,
        "MIT",
        (84, 84),
    )
    assert (record.mean, record.std, record.dropped, record.notes) == (None, None, (), ())


@pytest.mark.parametrize("old", [False, True])
def test_torchvisions_resnet_layout_loads_apart_from_its_classifier(tmp_path, old):
    generator = torch.Generator().manual_seed(0)
    entries = OrderedDict(
        (name, torch.rand(shape, generator=generator) if shape else torch.tensor(5))
        for name, shape in published_layouts.resnet("resnet18").items()
        if not (old and name.endswith("num_batches_tracked"))
    )
    backbone = backbones.resnet18()
    backbone.bn1.num_batches_tracked.fill_(7)
    record = load_weights(
        backbone, saved(tmp_path / "resnet18.pth", entries), normalisation="imagenet"
    )
    assert record.dropped == ("fc.weight", "fc.bias")
    assert torch.equal(
        backbone.layer3[0].downsample[0].weight, entries["layer3.0.downsample.0.weight"]
    )
    assert torch.equal(backbone.layer4[1].bn2.running_var, entries["layer4.1.bn2.running_var"])
    assert backbone.bn1.num_batches_tracked.item() == (0 if old else 5)
    assert any("20 counts of batches" in note for note in record.notes) is old
    assert record.mean == (0.485, 0.456, 0.406)


def test_the_normalisation_is_applied_inside_or_left_to_the_loader(tmp_path):
    path = saved(tmp_path / "mine.pth", conv4(1).state_dict())
    inside, outside, plain = conv4().eval(), conv4().eval(), conv4(1).eval()
    record = load_weights(inside, path, normalisation="imagenet")
    load_weights(outside, path, normalisation="imagenet", inside=False)
    assert (inside.normalises, outside.normalises) == (True, False)
    assert inside.weights == outside.weights
    x = images()
    normalised = (x - torch.tensor(record.mean).view(3, 1, 1)) / torch.tensor(record.std).view(
        3, 1, 1
    )
    torch.testing.assert_close(inside(x), plain(normalised))
    assert torch.equal(outside(x), plain(x))
    load_weights(inside, path, normalisation=((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))
    torch.testing.assert_close(inside(x), plain((x - 0.5) / 0.25))
    load_weights(inside, path, normalisation="none")
    assert torch.equal(inside(x), plain(x))
    assert inside.normalises is False


def test_an_unknown_file_needs_a_stated_normalisation(tmp_path):
    path = saved(tmp_path / "mine.pth", conv4(1).state_dict())
    refused(conv4(), path, "say normalisation='imagenet'", normalisation=None)
    refused(conv4(), path, "no normalisation is called 'half'", normalisation="half")
    refused(conv4(), path, "pair", normalisation=((0.5,), (0.5,), (0.5,)))
    refused(conv4(), path, "1 channels and the backbone 3", normalisation=((0.5,), (0.5,)))
    refused(conv4(), path, "above 0", normalisation=((0.5,) * 3, (0.5, 0.5, 0.0)))


def test_a_published_file_is_known_by_its_digest(tmp_path, monkeypatch):
    path = saved(tmp_path / "any_name.pth", backbones.mobilenet_v2(width=0.25, seed=1).state_dict())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    known = module_of_weights._PUBLISHED["b0353104"]
    monkeypatch.setitem(module_of_weights._PUBLISHED, digest[:8], known)
    backbone = backbones.mobilenet_v2(width=0.25)
    record = load_weights(backbone, path)
    assert record.mean == (0.485, 0.456, 0.406)
    assert record.input_size == (224, 224)
    assert "torchvision" in record.source
    refused(conv4(), path, r"made for mobilenet_v2\(\) and not for conv4\(\)", normalisation=None)


def test_a_digest_can_be_demanded(tmp_path):
    path = saved(tmp_path / "mine.pth", conv4(1).state_dict())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    load_weights(conv4(), path, normalisation="none", sha256=digest[:8])
    refused(conv4(), path, f"is {digest}, not 00000000", sha256="00000000")
    refused(conv4(), path, "at least 8 hexadecimal", sha256=digest[:7])


def test_every_difference_is_named(tmp_path):
    entries = conv4(1).state_dict()
    entries["layers.9.conv.weight"] = entries.pop("layers.1.conv.weight")
    entries["layers.2.norm.bias"] = torch.zeros(9)
    message = (
        r"'mine.pth' does not fit conv4, which has 24 entries: 1 missing"
        r" \('layers.1.conv.weight'\); "
        r"1 extra \('layers.9.conv.weight'\); 1 misshapen \('layers.2.norm.bias' is \(9,\), not"
        r" \(8,\)\)\. .*"
        "Nothing was changed"
    )
    refused(conv4(), saved(tmp_path / "mine.pth", entries), message)


def test_long_lists_are_counted_and_cut(tmp_path):
    entries = {f"encoder.{name}": value for name, value in conv4(1).state_dict().items()}
    message = (
        r"24 missing \('layers.0.conv.weight', .*, \.\.\.\); 24 extra .*No name is the"
        r" same.*prefix='encoder\.'"
    )
    refused(conv4(), saved(tmp_path / "mine.pth", entries), message)


def test_other_channels_and_stems_are_named(tmp_path):
    path = saved(tmp_path / "mine.pth", conv4(1).state_dict())
    refused(
        conv4(in_channels=1),
        path,
        r"'layers.0.conv.weight' is \(8, 3, 3, 3\), not \(8, 1, 3, 3\).*in_channels",
    )
    refused(backbones.conv4(4), path, "misshapen.*channels")


def test_extra_entries_are_left_out_by_name_alone(tmp_path):
    entries = {
        **conv4(1).state_dict(),
        "head.weight": torch.zeros(2, 8),
        "head.bias": torch.zeros(2),
    }
    path = saved(tmp_path / "mine.pth", entries)
    refused(conv4(), path, r"2 extra \('head.weight', 'head.bias'\).*drop=\['head\.\*'\]")
    refused(conv4(), path, r"drop='heads\.\*' matches no entry", drop=["heads.*"])
    refused(conv4(), path, "one text", drop="head.*")
    refused(
        conv4(),
        path,
        r"1 missing \('layers.0.conv.weight'\)",
        drop=["head.*", "layers.0.conv.weight"],
    )
    assert load_weights(conv4(), path, normalisation="none", drop=["head.*"]).dropped == (
        "head.weight",
        "head.bias",
    )


def test_prefixes(tmp_path):
    entries = conv4(1).state_dict()
    parallel = saved(
        tmp_path / "parallel.pth", {f"module.{name}": value for name, value in entries.items()}
    )
    target = conv4()
    record = load_weights(target, parallel, normalisation="none")
    assert same(values(target), dict(entries))
    assert "'module.' of DataParallel" in record.notes[0]
    within = {f"module.net.{name}": value for name, value in entries.items()} | {
        "module.head.bias": torch.zeros(1)
    }
    path = saved(tmp_path / "within.pth", within)
    target = conv4()
    record = load_weights(target, path, normalisation="none", prefix="net.", drop=["head.*"])
    assert same(values(target), dict(entries))
    assert [("module." in record.notes[0]), ("net." in record.notes[1])] == [True, True]
    refused(conv4(), path, "no name of 'within.pth' begins so", prefix="body.")
    twice = saved(
        tmp_path / "twice.pth", {**entries, **{f"net.{name}": one for name, one in entries.items()}}
    )
    refused(conv4(), twice, "with and without", prefix="net.")


def test_one_name_with_the_parallel_prefix_is_a_difference(tmp_path):
    entries = conv4(1).state_dict()
    entries["module.layers.0.conv.weight"] = entries.pop("layers.0.conv.weight")
    refused(conv4(), saved(tmp_path / "mine.pth", entries), "1 missing.*1 extra")


def test_a_part_of_a_checkpoint_is_named(tmp_path):
    path = saved(
        tmp_path / "mine.pth", {"epoch": 3, "state_dict": conv4(1).state_dict(), "optimizer": {}}
    )
    refused(conv4(), path, "entry='state_dict' .or 'optimizer'")
    refused(conv4(), path, r"at \['state_dict', 'optimizer'\]", entry="model")
    target = conv4()
    load_weights(target, path, normalisation="none", entry="state_dict")
    assert same(values(target), values(conv4(1)))


def test_number_formats_are_converted_and_noted(tmp_path):
    path = saved(tmp_path / "half.safetensors", conv4(1).half().state_dict())
    target = conv4()
    record = load_weights(target, path, normalisation="none")
    assert record.notes == ("20 entries converted to the backbone's number format",)
    torch.testing.assert_close(values(target), values(conv4(1)), rtol=1e-3, atol=1e-4)
    assert next(target.parameters()).dtype == torch.float32


def test_a_module_of_ones_own_is_filled_under_its_own_names(tmp_path):
    def net(seed):
        body = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.utils.skip_init(torch.nn.Linear, 12, 5)
        )
        for value in body.parameters():
            torch.nn.init.normal_(value, generator=torch.Generator().manual_seed(seed))
        return body

    path = saved(tmp_path / "mine.pth", net(1).state_dict())
    wrapped = as_backbone(net(2), 5)
    load_weights(wrapped, path, normalisation="none")
    assert same(values(wrapped.body), values(net(1)))
    with pytest.raises(InputError, match="as_backbone"):
        load_weights(net(2), path, normalisation="none")


def test_a_backbone_without_numbers_cannot_be_filled(tmp_path):
    path = saved(tmp_path / "mine.pth", conv4(1).state_dict())
    with pytest.raises(InputError, match="meta device"):
        load_weights(conv4().to("meta"), path, normalisation="none")
