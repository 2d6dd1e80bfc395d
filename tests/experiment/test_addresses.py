"""Backbones by address in an experiment: their weights, what a run is known by, what is refused."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import pytest
import torch

from tests.experiment.conftest import toy_experiment
from torchcross import backbones
from torchcross.backbones.addresses import at_revision
from torchcross.backbones.base import attach
from torchcross.errors import FetchError, InputError
from torchcross.experiment import METHODS, read_experiment, run_experiment, write_page
from torchcross.experiment.rows.addressed_backbones import pretrained_backbone, weights_in_words
from torchcross.experiment.rows.starting_networks import input_normalisation, starting_network
from torchcross.experiment.run.checks import check_experiment, check_image_sides
from torchcross.experiment.run.identity import decisive_settings, differences, identity

HUB = "timm:small_vit.made_up"


def saved(path, seed=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(backbones.conv4(4, in_channels=1, seed=seed).state_dict(), path)
    return f"conv4={path}"


def addressed(address, **changes):
    named = {"name": address, "channels": 4} if address.startswith("conv4") else {"name": address}
    plain = {"model.backbone": named, "model.normalisation": "none", **changes}
    return toy_experiment(**{"algorithms": ["scratch", "im-pt", "ncm"], "shots": [1], **plain})


def record(**changes):
    known = {
        "name": HUB,
        "source": "huggingface.co/timm/small_vit.made_up, model.safetensors",
        "sha256": "ab" * 32,
        "mean": (0.4, 0.5, 0.6),
        "std": (0.25, 0.25, 0.25),
        "input_size": (518, 518),
        "interpolation": "bicubic",
        "revision": "0123456789" * 4,
    }
    return backbones.WeightRecord(**{**known, **changes})


@pytest.fixture
def hub(monkeypatch):
    """A hub with one model for images of one size; what is in `records` is its weights' record."""
    records = [record()]

    def from_address(
        address, *, pretrained, seed, image_size=32, grey=None, normalisation="", **options
    ):
        if address not in (HUB, f"{HUB}@{record().revision}"):
            raise FetchError(f"{address} is not in the cache, and the hub cannot be reached")
        if options:
            raise TypeError(f"create_model() got an unexpected argument {min(options)!r}")
        net = backbones.small_vit(image_size=image_size, width=8, depth=1, heads=2, grey=grey)
        net.image_size = image_size
        if pretrained:
            changes = {"mean": None, "std": None} if normalisation else {}
            attach(net, dataclasses.replace(records[-1], **changes), inside=True)
        return net

    monkeypatch.setattr("torchcross.backbones.from_address", from_address)
    yield records
    # What a process read once is of this hub alone.
    pretrained_backbone.__globals__["_read_once"].cache_clear()


# -- the networks of rows --------------------------------------------------------------------------


def test_rows_start_from_the_weights_of_the_address_and_scratch_from_its_seed(tmp_path):
    experiment = addressed(saved(tmp_path / "a.pth"))
    check_experiment(experiment)
    assert experiment.model.has_weights
    published = backbones.conv4(4, in_channels=1, seed=3).state_dict()
    for seed in (0, 1):
        net = starting_network(METHODS["im-pt"], experiment, seed)
        assert all(map(torch.equal, net.state_dict().values(), published.values()))
        assert net.weights is not None
        fresh = starting_network(METHODS["scratch"], experiment, seed)
        expected = backbones.conv4(4, in_channels=1, seed=seed).state_dict()
        assert all(map(torch.equal, fresh.state_dict().values(), expected.values()))
        assert fresh.spec == dataclasses.replace(net.spec, weights=None)


def test_without_pretrained_the_address_is_an_architecture(tmp_path):
    address = saved(tmp_path / "a.pth")
    experiment = addressed(
        address, **{"model.backbone.pretrained": False, "algorithms": ["ncm"], "seeds": [5]}
    )
    check_experiment(experiment)
    assert not experiment.model.has_weights
    net = starting_network(METHODS["ncm"], experiment, 5)
    expected = backbones.conv4(4, in_channels=1, seed=5).state_dict()
    assert all(map(torch.equal, net.state_dict().values(), expected.values()))
    assert METHODS["ncm"].has_seeds(experiment.model.has_weights)
    with pytest.raises(InputError, match=r"give model\.weights or an address as model\.backbone"):
        check_experiment(addressed(address, **{"model.backbone.pretrained": False}))


def test_images_are_normalised_as_the_record_says(hub):
    colour = {"data.channels": 3, "model.normalisation": ""}
    experiment = addressed(HUB, **colour)
    net = starting_network(METHODS["im-pt"], experiment, 0)
    assert net.normalises
    assert net.weights == record()
    assert input_normalisation(net, experiment) is None
    fresh = starting_network(METHODS["scratch"], experiment, 0)
    assert not fresh.normalises
    assert input_normalisation(fresh, experiment).mean == (0.485, 0.456, 0.406)


# -- what a run is known by ------------------------------------------------------------------------


def test_weights_are_known_by_what_they_are_and_not_by_their_place(tmp_path):
    first, moved = saved(tmp_path / "a.pth"), f"conv4={tmp_path / 'b.pth'}"
    shutil.copy(tmp_path / "a.pth", tmp_path / "b.pth")
    other = saved(tmp_path / "c.pth", seed=4)
    assert identity(addressed(first)) == identity(addressed(moved))
    assert identity(addressed(first, **{"model.backbone.pretrained": True})) == identity(
        addressed(first)
    )
    ways = [
        addressed(first),
        addressed(other),
        addressed("conv4", algorithms=["scratch"]),
        addressed(first, **{"model.backbone.pretrained": False}),
        addressed(first, seeds=[9]),
    ]
    assert len({identity(each) for each in ways}) == len(ways)
    assert str(tmp_path) not in json.dumps(decisive_settings(addressed(first)))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"sha256": "cd" * 32}, "model.weights.sha256"),
        ({"revision": "f" * 40}, "model.weights.revision"),
        ({"mean": (0.1, 0.1, 0.1)}, "model.weights.mean"),
    ],
)
def test_other_weights_at_the_same_address_are_another_run(hub, change, place):
    experiment = addressed(HUB, **{"data.channels": 3, "model.normalisation": ""})
    before, known = decisive_settings(experiment), identity(experiment)
    hub.append(record(**change))
    with pytest.raises(InputError, match="have changed since this process began"):
        starting_network(METHODS["im-pt"], experiment, 0)
    assert list(differences(before, decisive_settings(experiment))) == [place]
    assert identity(experiment) != known


def test_a_path_in_an_address_is_looked_for_beside_the_file(tmp_path):
    saved(tmp_path / "weights" / "a.pth")
    text = '[data]\nfolder = "data"\n[model.backbone]\nname = "{}"\n'
    for name, expected in (
        ("conv4=weights/a.pth", f"conv4={tmp_path / 'weights' / 'a.pth'}"),
        ("hf:./dinov2", f"hf:{tmp_path / 'dinov2'}"),
        ("hf:facebook/dinov2-base@main", "hf:facebook/dinov2-base@main"),
        ("timm:vit_small_patch14_dinov2.lvd142m", "timm:vit_small_patch14_dinov2.lvd142m"),
    ):
        (tmp_path / "small.toml").write_text(text.format(name))
        assert read_experiment(tmp_path / "small.toml").model.backbone.name == expected
    (tmp_path / "small.toml").write_text(text.format("tim:x"))
    with pytest.raises(InputError, match=r"small\.toml.*'tim'; did you mean 'timm'"):
        read_experiment(tmp_path / "small.toml")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("timm:vit.tag", "timm:vit.tag@abc"),
        ("open_clip:ViT-B-16/openai", "open_clip:ViT-B-16/openai@abc"),
        ("hf:org/name@main", "hf:org/name@main"),
        ("hf:./name", "hf:./name"),
        ("timm:vit=file.pth", "timm:vit=file.pth"),
    ],
)
def test_a_revision_is_for_a_repository_that_names_none(address, expected):
    assert at_revision(address, "abc") == expected
    assert at_revision(address, None) == address


# -- a run -----------------------------------------------------------------------------------------


def test_a_run_records_the_weights_and_shows_them(collection, hub, tmp_path):
    changes = {"model.backbone.image_size": 16, "model.backbone.grey": "expand"}
    experiment = addressed(HUB, **changes, **{"data.targets": ["hole"]})
    outcome = run_experiment(experiment, tmp_path / "run")
    assert outcome.complete
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    protocol = json.loads((tmp_path / "run" / "protocol.json").read_text())
    assert provenance["weights"] == protocol["weights"] == record(mean=None, std=None).as_dict()
    assert dict(protocol["choices"])["weights"] == weights_in_words(record(mean=None, std=None))
    page = write_page(tmp_path / "run").read_text(encoding="utf-8")
    for text in (record().sha256, record().revision, "518 x 518", "bicubic"):
        assert text in page


def test_weights_in_words():
    assert weights_in_words(record(licence="mit")) == (
        "timm:small_vit.made_up, from huggingface.co/timm/small_vit.made_up, model.safetensors at"
        f" revision {'0123456789' * 4}, licence mit, sha256 abababababab. They want images less"
        " 0.4, 0.5, 0.6, divided by 0.25, 0.25, 0.25. They were trained on images of 518 x 518"
        " pixels, resized by bicubic; the run resizes none."
    )


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"model.backbone.name": "resnet19", "algorithms": ["ncm"]}, "did you mean"),
        ({"model.backbone.pretrained": "yes"}, "pretrained is 'yes'; give true or false"),
        ({"model.backbone.revision": "main"}, "write it behind the name, as NAME@REVISION"),
        ({"model.backbone.normalisation": "none"}, r"give model\.normalisation"),
        ({"model.backbone.cache": "here"}, "set HF_HUB_CACHE"),
        ({"model.backbone.depht": 3}, r"options \['depht'\] do not fit 'timm:.*'depht'"),
        ({"data.channels": 1}, r"takes images of 3 channels, and data\.channels=1; give data\."),
    ],
)
def test_refused(hub, changes, match):
    with pytest.raises(InputError, match=match):
        check_experiment(
            addressed(HUB, **{"data.channels": 3, "model.normalisation": "", **changes})
        )


def test_two_sets_of_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"two sets of weights; leave model\.weights out"):
        addressed(saved(tmp_path / "a.pth"), **{"model.weights": "b.pth"})


def test_a_hub_that_is_not_reached_is_told_as_it_is(hub):
    with pytest.raises(FetchError, match="the hub cannot be reached"):
        check_experiment(addressed("timm:another", **{"data.channels": 3}))


def test_images_of_another_size_are_refused_before_the_run(hub, collection, tmp_path):
    experiment = addressed(HUB, **{"model.backbone.grey": "expand", "data.targets": ["hole"]})
    with pytest.raises(
        InputError,
        match=r"takes images of 32 x 32 pixels, and those of hole have 16 x 16; give"
        r" model\.backbone\.image_size=16",
    ):
        run_experiment(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    wide = SimpleNamespace(read=lambda indices: torch.zeros(1, 1, 16, 32))
    collection.target = lambda name: wide
    with pytest.raises(InputError, match=r"have 16 x 32; prepare the data with images of 32 x 32"):
        check_image_sides(experiment, collection, ["hole"])
    wide.read = lambda indices: torch.zeros(1, 1, 32, 32)
    check_image_sides(experiment, collection, ["hole"])
