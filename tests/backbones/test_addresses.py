"""Addresses of backbones: what they mean, and what is refused before anything is fetched."""

import sys
from types import ModuleType

import pytest
import torch

from tests.backbones.small_backbones import same, values
from torchcross import backbones
from torchcross.backbones import WeightRecord, addresses, build, from_address
from torchcross.backbones.hub import (
    find_weights,
    is_folder,
    licence_of,
    model_files,
    required_file,
)
from torchcross.errors import FetchError, InputError, MissingExtraError


@pytest.fixture
def calls(monkeypatch):
    """Stand-ins for the four libraries' functions, which note how they were called."""
    noted = []
    for library in ("timm", "hf", "open_clip", "torchvision"):

        def note(name, *, library=library, **options):
            noted.append((library, name, options))
            return backbones.conv4(8)

        monkeypatch.setitem(addresses._LIBRARIES, library, note)
    open_clip = ModuleType("open_clip")
    open_clip.list_models = lambda: ["ViT-B-16"]
    monkeypatch.setitem(sys.modules, "open_clip", open_clip)
    return noted


HUB = {"pretrained": True, "normalisation": None, "revision": None, "cache": None}
RANDOM = {"pretrained": False}


@pytest.mark.parametrize(
    ("address", "options", "expected"),
    [
        ("timm:vit.tag", {}, ("timm", "vit.tag", HUB)),
        ("timm:vit.tag@v1", {}, ("timm", "vit.tag", {**HUB, "revision": "v1"})),
        ("timm:hf-hub:org/vit", {"cache": "c"}, ("timm", "org/vit", {**HUB, "cache": "c"})),
        (
            "timm:vit",
            {"pretrained": False, "grey": "expand"},
            ("timm", "vit", {**RANDOM, "grey": "expand"}),
        ),
        ("hf:org/name", {"pooling": "token"}, ("hf", "org/name", {**HUB, "pooling": "token"})),
        (
            "hf:org/name@abc",
            {"pretrained": False},
            ("hf", "org/name", {**RANDOM, "revision": "abc", "cache": None}),
        ),
        (
            "open_clip:ViT-B-16/openai",
            {},
            ("open_clip", "ViT-B-16", {**HUB, "pretrained": "openai"}),
        ),
        ("open_clip:ViT-B-16/openai", {"pretrained": False}, ("open_clip", "ViT-B-16", RANDOM)),
        ("open_clip:laion/CLIP@main", {}, ("open_clip", "laion/CLIP", {**HUB, "revision": "main"})),
        (
            "torchvision:resnet18",
            {},
            ("torchvision", "resnet18", {"pretrained": True, "normalisation": None}),
        ),
        (
            "torchvision:resnet18/V1",
            {},
            ("torchvision", "resnet18", {"pretrained": "V1", "normalisation": None}),
        ),
    ],
)
def test_what_an_address_means(calls, address, options, expected):
    from_address(address, **options)
    assert calls == [expected]


def test_a_folder_may_have_any_sign_in_its_name(calls, tmp_path):
    folder = tmp_path / "mine@home"
    folder.mkdir()
    from_address(f"hf:{folder}")
    assert calls == [("hf", str(folder), HUB)]


def test_a_function_and_a_file(tmp_path):
    mine = backbones.conv4(64, seed=3)
    path = tmp_path / "mine.pth"
    torch.save(mine.state_dict(), path)
    loaded = from_address(f"conv4={path}", normalisation="none", channels=64)
    assert same(values(loaded), values(mine))
    assert loaded.weights.source == "mine.pth"
    assert from_address(f"conv4={path}", pretrained=False).weights is None
    assert from_address("conv4", channels=8).num_features == 8
    with pytest.raises(
        InputError, match=r"what images the weights of 'mine.pth' want is not known"
    ):
        from_address(f"conv4={path}")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tim:vit", "no library of 'tim:vit' is called 'tim'; did you mean 'timm'"),
        ("resnet81", r"did you mean 'resnet18'.*other libraries begin with timm:, hf:"),
        ("from_timm", "no backbone is called 'from_timm'"),
        ("timm:", "no address of a backbone"),
        ("", "not a text"),
        (3, "not a text"),
        ("hf:org/name@", "no address of a backbone"),
        ("conv4=", "no address of a backbone"),
        ("conv4@v1", "a revision is for weights of the hub"),
        ("torchvision:resnet18@v1", "a revision, which is for weights of the hub"),
        ("hf:org/name=file.pth", r"takes a folder.*write hf:FOLDER"),
        ("conv4=nowhere.pth", "nowhere.pth cannot be read"),
    ],
)
def test_what_is_no_address(address, message):
    with pytest.raises(InputError, match=message):
        from_address(address)


@pytest.mark.parametrize(
    ("address", "package"),
    [
        ("timm:vit", "timm"),
        ("hf:org/name", "transformers"),
        ("open_clip:ViT-B-16/openai", "open_clip_torch"),
        ("torchvision:resnet18", "torchvision"),
    ],
)
def test_what_is_not_installed_is_said(address, package, monkeypatch):
    for name in ("timm", "transformers", "open_clip", "torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=f"install {package}"):
        from_address(address)


@pytest.mark.parametrize("option", ["pretrained", "revision", "cache", "normalisation", "inside"])
@pytest.mark.parametrize("name", ["from_timm", "from_torchvision", "from_transformers"])
def test_a_description_cannot_ask_for_weights(name, option):
    with pytest.raises(InputError, match=rf"has options \['{option}'\] that it does not take"):
        build({"name": name, "options": {"name": "x", option: True}})


def test_a_description_has_its_configuration():
    for name in ("from_transformers", "from_open_clip"):
        with pytest.raises(InputError, match="has no config"):
            build({"name": name, "options": {"name": "org/name"}})


def test_arguments_of_weights_need_weights():
    with pytest.raises(InputError, match="revision='v1' is for pretrained weights"):
        backbones.from_timm("vit", revision="v1")


def test_records_keep_revision_and_interpolation():
    record = WeightRecord(
        name="a", source="b", sha256="0" * 64, revision="c" * 40, interpolation="bicubic"
    )
    assert WeightRecord.from_dict(record.as_dict()) == record
    with pytest.raises(InputError, match="interpolation=3"):
        WeightRecord(name="a", source="b", sha256="0" * 64, interpolation=3)
    earlier = {"name": "a", "source": "b", "sha256": "0" * 64}
    assert WeightRecord.from_dict(earlier).revision is None


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\ntext", "mit"),
        ("---\ntags: [a]\nlicense: 'apache-2.0' # free\n---\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: their-own\n---\n", "their-own"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\ntags: [license]\n---\nlicense: mit\n", None),
        ("license: mit\n", None),
        ("", None),
    ],
)
def test_the_licence_of_a_card(tmp_path, card, licence):
    (tmp_path / "README.md").write_text(card)
    assert licence_of(model_files(str(tmp_path), None, None, "test")) == licence


def test_folders_and_names_of_repositories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    assert all(map(is_folder, ("./x", "../x", "/x", "~/x", "org", "C:/x")))
    assert not any(map(is_folder, ("org/name", "vit.tag", "x")))
    with pytest.raises(
        InputError, match=r"revision='v1' is for repositories, and '\./x' is a folder"
    ):
        model_files("./x", "v1", None, "test")


def test_a_client_of_the_hub_that_fails(monkeypatch, tmp_path):
    """Whatever its error is, it is one of ours and says what to do."""
    hub = pytest.importorskip("huggingface_hub")

    def fail(*args, **kwargs):
        raise OSError("the cable is out")

    monkeypatch.setattr(hub, "hf_hub_download", fail)
    files = model_files("org/name", "v1", tmp_path, "test")
    with pytest.raises(FetchError, match=r"OSError: the cable is out.*--revision v1 --local-dir"):
        files.file("config.json")


def test_weights_that_are_not_in_the_cache_of_a_machine_without_a_network(monkeypatch, tmp_path):
    """What the hub was not asked for may be there: it is not said to be missing."""
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    commit, repository = "0" * 40, tmp_path / "models--org--name"
    for name, text in (("refs/main", commit), (f"snapshots/{commit}/config.json", "{}")):
        path = repository / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    files = model_files("org/name", None, tmp_path, "test")
    assert required_file(files, "config.json").read_text() == "{}"
    assert licence_of(files) is None
    message = r"{} of 'org/name' is not in .*the hub cannot be reached.*hf download org/name"
    names = ("model.safetensors.index.json", "model.safetensors", "pytorch_model.bin")
    with pytest.raises(FetchError, match=message.format(r"model\.safetensors")):
        find_weights(files, names)
    with pytest.raises(FetchError, match=message.format(r"preprocessor_config\.json")):
        required_file(files, "preprocessor_config.json")
    folder = model_files(str(repository / "snapshots" / commit), None, None, "test")
    with pytest.raises(InputError, match="has no weights; expected one of"):
        find_weights(folder, names)
