"""Parts of installed packages: who has a name, and which package's version decided rows."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest
from torch import nn

from tests.experiment.conftest import toy_experiment
from torchcross._kit.extensions import Extensions
from torchcross._kit.installed_packages import sole_point
from torchcross.algorithms import Ridge
from torchcross.errors import InputError, TargetError, TorchcrossWarning
from torchcross.experiment import METHODS, Method, add_row, run_experiment
from torchcross.experiment.run.extension_packages import extension_packages
from torchcross.targets import Binary, MultiClass, OwnLoss, add_loss, own_losses

MINE = Method(
    "installed-row",
    "of a package",
    make_adapter=lambda net, normalise, settings: Ridge(net, norm="support", normalise=normalise),
)
GROUP = "torchcross.algorithms"


HALVED = OwnLoss(replace(MultiClass.objectives["cross_entropy"]), (MultiClass,))


def means_net(in_channels=3):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, 4))


def write_package(
    folder,
    version,
    value=f"{__name__}:MINE",
    name="rows-of-others",
    row=MINE.name,
    group=GROUP,
):
    """A distribution as it is installed, with a row, or another part, by entry point."""
    about = folder / f"{name.replace('-', '_')}-1.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    text = f"[{group}]\n{row} = {value}\n"
    (about / "entry_points.txt").write_text(text)
    return folder


@pytest.fixture
def site(tmp_path, registries, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_a_row_of_an_installed_package(site):
    write_package(site, "1.0")
    write_package(site, "1.0", "nowhere:none", "broken", "broken-row")
    assert "installed-row" in METHODS
    assert METHODS["installed-row @ small"] is MINE
    assert METHODS.package_of("installed-row @ small") == ("rows-of-others", "1.0")
    assert {"installed-row", "broken-row"} <= set(METHODS.names())
    with pytest.raises(InputError, match=r"'broken-row' is nowhere:none, which cannot be loaded"):
        METHODS["broken-row"]


@pytest.mark.slow
@pytest.mark.usefixtures("collection")
def test_a_run_says_which_versions_of_packages_gave_its_rows(site, registries, tmp_path):
    def run(*rows, shots):
        registries()
        experiment = toy_experiment(
            algorithms=rows,
            shots=shots,
            **{"data.targets": ["shape"], "evaluation.episodes": 2},
        )
        assert run_experiment(experiment, folder).complete
        return json.loads((folder / "provenance.json").read_text())

    folder = tmp_path / "run"
    write_package(site, "1.0")
    assert run("installed-row", shots=[2])["packages"]["rows-of-others"] == "1.0"
    write_package(site, "2.0")
    provenance = run("installed-row", shots=[1, 2])
    assert provenance["packages"]["rows-of-others"] == "2.0"
    assert [each["packages"]["rows-of-others"] for each in provenance["earlier"]] == ["1.0"]
    folder = tmp_path / "ours"
    assert "rows-of-others" not in run("ncm", shots=[1])["packages"]


def test_a_row_of_ones_own_does_not_hide_one_of_a_package(site):
    write_package(site, "1.0")
    with pytest.raises(InputError, match="is of the installed package rows-of-others; give yours"):
        add_row(Method("installed-row", "mine"))
    assert METHODS["installed-row"] is MINE
    assert add_row(MINE) is MINE


def test_a_package_may_also_add_its_row_when_it_is_imported(site):
    (site / "early_rows.py").write_text(
        "from torchcross.experiment import Method, add_row\n"
        "ROW = add_row(Method('installed-row', 'early'))\n"
    )
    write_package(site, "1.0", "early_rows:ROW")
    try:
        import early_rows

        assert METHODS["installed-row"] is early_rows.ROW
    finally:
        sys.modules.pop("early_rows", None)


def test_two_packages_with_one_name_are_refused(site):
    write_package(site, "1.0")
    write_package(site, "1.0", "elsewhere:ROW", "more-rows")
    words = r"is of several installed packages: .*more-rows \(elsewhere:ROW\)"
    with pytest.raises(InputError, match=words):
        METHODS["installed-row"]
    with pytest.raises(InputError, match=words):
        add_row(Method("installed-row", "mine"))


def test_a_package_with_a_name_of_ours_is_warned_of_once(site):
    write_package(site, "1.0", row="ncm")
    own = Method("ncm", "ours")
    rows = Extensions({"ncm": own}, group=GROUP, kind="row", check=lambda name, item: item)
    with pytest.warns(TorchcrossWarning, match="'ncm' of the installed package rows-of-others is"):
        assert "ncm" in rows
    assert "ncm" in rows
    assert rows["ncm"] is own


def test_the_only_point_of_a_name():
    ours = EntryPoint("a", "here:x", "g")
    assert sole_point("engine", "a", [ours, ours, EntryPoint("b", "there:y", "g")]) is ours
    assert sole_point("engine", "c", [ours]) is None
    with pytest.raises(InputError, match=r"engine 'a' is of several .*: here \(here:x\), there"):
        sole_point("engine", "a", [ours, EntryPoint("a", "there:y", "g")])


def test_packages_of_backbones_and_of_data_count_too(site):
    write_package(site, "1", f"{__name__}:means_net", "nets", "means_net", "torchcross.backbones")
    experiment = toy_experiment(**{"model.backbone": "means_net"})
    assert {"nets", "torchcross-fewshot"} <= extension_packages(experiment)
    assert "nets" not in extension_packages(toy_experiment())


def test_a_loss_of_a_package(site, monkeypatch):
    monkeypatch.setattr(own_losses, "_PACKAGES", set())
    write_package(site, "1", f"{__name__}:HALVED", "losses", "halved", "torchcross.losses")
    with pytest.raises(InputError, match="MultiClass has a loss 'halved' already"):
        add_loss("halved", replace(HALVED.objective, options=frozenset({"x"})), [MultiClass])
    assert MultiClass(["a", "b"], loss="halved").loss_name == "halved"
    assert own_losses.loss_packages() == {("losses", "1")}
    assert "losses" in extension_packages(toy_experiment())
    write_package(site, "1", "nowhere:none", "broken", "mine", "torchcross.losses")
    add_loss("mine", HALVED.objective, [MultiClass])
    assert MultiClass(["a", "b"], loss="mine").loss_name == "mine"


def test_two_packages_with_one_loss_are_refused(site):
    """As two of one row are, also where the losses are for other targets."""
    losses = "torchcross.losses"
    write_package(site, "1", f"{__name__}:HALVED", "losses", "halved", losses)
    write_package(site, "1", "elsewhere:LOSS", "more-losses", "halved", losses)
    words = r"the loss 'halved' is of several installed packages: .*more-losses \(elsewhere:LOSS\)"
    with pytest.raises(InputError, match=words):
        MultiClass(["a", "b"], loss="halved")
    with pytest.raises(InputError, match=words):
        add_loss("halved", HALVED.objective, [MultiClass])


def test_a_package_with_a_loss_of_ours_is_warned_of_once(site):
    # It is for MultiClass, which has no loss of this name.
    write_package(site, "1", f"{__name__}:HALVED", "losses", "focal", "torchcross.losses")
    own_losses._warn_of_unused_losses.cache_clear()
    words = "loss 'focal' of the installed package losses is not used: the library has a"
    with pytest.warns(TorchcrossWarning, match=words):
        assert Binary(loss="focal").loss_name == "focal"
    with pytest.raises(TargetError, match="MultiClass has no loss 'focal'"):
        MultiClass(["a", "b"], loss="focal")
    assert "focal" not in MultiClass.objectives


def test_a_package_that_fails_when_it_is_imported_is_named(site):
    (site / "broken_rows.py").write_text("raise RuntimeError('no licence')\n")
    write_package(site, "1.0", "broken_rows:ROW")
    words = r"'installed-row' is broken_rows:ROW, which cannot be loaded: RuntimeError: no licence"
    with pytest.raises(InputError, match=words):
        METHODS["installed-row"]
    # It has no claim to its name.
    assert add_row(MINE) is MINE
