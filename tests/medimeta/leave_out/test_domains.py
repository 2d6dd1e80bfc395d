"""Leave one domain out, as published: counts for all 19 targets, a reason for every dataset."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from medimeta_adapter import LeaveOut, MedIMeta, TaskInfo
from medimeta_adapter.leave_out import domains
from medimeta_adapter.leave_out.collection import MedIMetaCollection
from tests.medimeta.make import BINARY, MULTI, edit_info, write_dataset
from torchcross.errors import InputError, OverlapWarning, SourceError

CATALOG: list[dict[str, Any]] = yaml.safe_load(
    files("medimeta_adapter.synthetic").joinpath("catalog.yaml").read_text()
)["datasets"]
KINDS = {
    "binary": "BINARY_CLASSIFICATION",
    "multiclass": "MULTICLASS_CLASSIFICATION",
    "multilabel": "MULTILABEL_CLASSIFICATION",
    "ordinal": "ORDINAL_REGRESSION",
}
SKIN = ("derm", "skinl_derm", "skinl_photo")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> MedIMeta:
    """All 19 datasets, with their tasks, domains and overlaps, and four tiny images each."""
    root = tmp_path_factory.mktemp("catalogue")
    for entry in CATALOG:
        keys = [task.get("label_keys", range(task["n_labels"])) for task in entry["tasks"]]
        tasks = [
            {
                "task_name": task["name"],
                "task_target": KINDS[task["target"]],
                "labels": {key: f"l{key}" for key in found},
            }
            for task, found in zip(entry["tasks"], keys, strict=True)
        ]
        same = {key: entry[key] for key in ("domain", "domain_overlaps", "subject_overlaps")}
        write_dataset(root, entry["id"], count=4, channels=entry["channels"], tasks=tasks, **same)
    return MedIMeta(root)


def test_the_catalogue_is_whole(catalogue: MedIMeta) -> None:
    assert (len(catalogue), len(catalogue.tasks), len(catalogue.domains)) == (19, 54, 10)
    assert catalogue.lodo_targets() == tuple(sorted(entry["id"] for entry in CATALOG))


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry["id"])
def test_source_counts_are_the_published_ones(catalogue: MedIMeta, entry: dict[str, Any]) -> None:
    expected = entry["lodo_sources"]
    sources, target = catalogue.leave_one_domain_out(entry["id"])
    assert target.name == f"{entry['id']}/{entry['primary_task']}"
    assert len(sources) == expected["datasets"]
    assert [source.task.name for source in sources] == [
        f"{source.dataset_id}/{catalogue[source.dataset_id].info.tasks[0].name}"
        for source in sources
    ]
    every = catalogue.leave_one_domain_out(entry["id"], all_tasks=True)
    assert len(every.sources) == expected["tasks"]
    assert len({source.dataset_id for source in every.sources}) == expected["datasets"]
    for task in entry["tasks"]:
        found = catalogue.leave_one_domain_out(entry["id"], task["name"]).target.task
        assert found.name == f"{entry['id']}/{task['name']}"


def test_tasks_of_one_name_in_one_domain_have_heads_of_their_own(catalogue: MedIMeta) -> None:
    for target in catalogue.lodo_targets():
        sources, _ = catalogue.leave_one_domain_out(target, all_tasks=True)
        assert len({(source.task.domain, source.task.name) for source in sources}) == len(sources)


def test_one_target_is_built_for_each_source(
    catalogue: MedIMeta, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    build = TaskInfo.target
    monkeypatch.setattr(TaskInfo, "target", lambda task: built.append(task) or build(task))
    meta = MedIMeta(catalogue.root)
    assert [task.multilabel for task in meta["cxr"].info.tasks].count(True) == 1
    sources, _ = meta.leave_one_domain_out("derm", all_tasks=True)
    assert len(sources) == 41
    assert len(built) == 42


def test_why_explains_every_dataset(catalogue: MedIMeta) -> None:
    found = catalogue.leave_one_domain_out("skinl_derm")
    assert isinstance(found, LeaveOut)
    assert set(found.why) == set(catalogue)
    assert found.why["skinl_derm"] == "target"
    assert (
        found.why["derm"]
        == "left out: shares its domain with 'skinl_derm' (domain_overlaps of both)"
    )
    assert (
        found.why["skinl_photo"]
        == "left out: shares subjects with 'skinl_derm' (subject_overlaps of both)"
    )
    assert found.why["oct"] == "source: domain 'OCT', no overlap with 'skinl_derm'"
    axial = catalogue.leave_one_domain_out("organs_axial").why["organs_coronal"]
    assert "domain_overlaps" in axial
    assert "subject_overlaps" in axial


def test_words_decide_nothing(catalogue: MedIMeta, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = MedIMetaCollection(catalogue.root, channels=3)

    def chosen() -> list[Any]:
        left = catalogue.leave_one_domain_out("skinl_derm")
        named = collection.sources("skinl_derm/Diagnosis", split="train", tasks="primary")
        return [
            [one.dataset_id for one in left.sources],
            [one.dataset_id for one in named],
            catalogue.lodo_targets(),
        ]

    before = chosen()
    assert before[0] == before[1]
    assert not set(before[0]) & set(SKIN)
    monkeypatch.setattr(domains.Verdict, "__str__", lambda self: "source, in other words")
    assert chosen() == before
    roles = {
        name: verdict.role
        for name, verdict in domains.verdicts(catalogue.datasets, ("skinl_derm",)).items()
    }
    assert [name for name, role in roles.items() if role is domains.Role.SOURCE] == before[0]
    assert roles["skinl_derm"] is domains.Role.TARGET
    assert roles["derm"] is roles["skinl_photo"] is domains.Role.LEFT_OUT


def test_splits_channels_and_pixels_reach_every_source(catalogue: MedIMeta) -> None:
    sources, target = catalogue.leave_one_domain_out(
        "oct",
        "urgent referral",
        split="train",
        target_split=("val", "test"),
        channels=3,
        pixels="float",
    )
    assert {len(source) for source in sources} == {2}
    np.testing.assert_array_equal(target.rows, [2, 3])
    assert {source.read([0]).shape[1] for source in (*sources, target)} == {3}
    assert target.read([0]).dtype == torch.float32
    with pytest.raises(SourceError, match="is empty"):
        catalogue.leave_one_domain_out("oct", split="val", original_splits=True)


def test_by_domain_a_whole_domain_is_the_target(catalogue: MedIMeta) -> None:
    sources, targets = catalogue.leave_one_domain_out("Dermatoscopy", by="domain")
    assert [target.dataset_id for target in targets] == ["derm", "skinl_derm"]
    assert not {source.dataset_id for source in sources} & set(SKIN), (
        "skinl_photo shares subjects with skinl_derm"
    )
    assert len(sources) == 16
    every = catalogue.leave_one_domain_out("Dermatoscopy", by="domain", all_tasks=True)
    assert len(every.targets) == 13
    for domain in catalogue.domains:
        left = catalogue.leave_one_domain_out(domain, by="domain")
        assert domain not in {source.task.domain for source in left.sources}
        assert {target.task.domain for target in left.target} == {domain}


def test_an_overlap_on_one_side_binds_both(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_dataset(tmp_path, name)
    edit_info(tmp_path / "a", domain_overlaps=["b", "elsewhere"])
    meta = MedIMeta(tmp_path)
    with pytest.warns(
        OverlapWarning, match="'a' lists 'b' in its domain_overlaps, 'b' does not list 'a'"
    ):
        forward = meta.leave_one_domain_out("a")
    assert [source.dataset_id for source in forward.sources] == ["c"]
    assert forward.why["b"] == "left out: shares its domain with 'a' (domain_overlaps of 'a' alone)"
    with pytest.warns(OverlapWarning):
        back = meta.leave_one_domain_out("b")
    assert [source.dataset_id for source in back.sources] == ["c"]
    assert back.why["a"] == "left out: shares its domain with 'b' (domain_overlaps of 'a' alone)"
    edit_info(tmp_path / "b", domain_overlaps=["a"])
    assert len(MedIMeta(tmp_path).leave_one_domain_out("b").sources) == 1, "and no warning"


def test_domains_alike_by_name_part_only_by_domain(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_dataset(tmp_path, name, domain="CT" if name != "c" else "MR")
    meta = MedIMeta(tmp_path)
    assert len(meta.leave_one_domain_out("a").sources) == 2, "as published: the lists decide"
    sources, targets = meta.leave_one_domain_out("CT", by="domain")
    assert ([source.dataset_id for source in sources], len(targets)) == (["c"], 2)


def test_what_cannot_be_left_out(tmp_path: Path) -> None:
    write_dataset(tmp_path, "a", tasks=[MULTI, BINARY])
    meta = MedIMeta(tmp_path)
    assert meta.lodo_targets() == ()
    with pytest.raises(InputError, match="no source is left for 'a': a: target"):
        meta.leave_one_domain_out("a")
    write_dataset(tmp_path, "b")
    meta = MedIMeta(tmp_path)
    with pytest.raises(InputError, match="no dataset 'A' to leave out; there are"):
        meta.leave_one_domain_out("A")
    with pytest.raises(InputError, match="no domain 'a' to leave out"):
        meta.leave_one_domain_out("a", by="domain")
    with pytest.raises(InputError, match="by='site'"):
        meta.leave_one_domain_out("a", by="site")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no task 'malign'; did you mean 'malignancy'"):
        meta.leave_one_domain_out("a", "malign")
    with pytest.raises(InputError, match="by='domain' got task="):
        meta.leave_one_domain_out("domain of a", "malignancy", by="domain")


@pytest.mark.parametrize("k", [2, 3, 5, 9])
def test_folds_are_whole_domains_without_overlap(catalogue: MedIMeta, k: int) -> None:
    folds = catalogue.domain_folds(k, seed=0)
    assert len(folds) == k
    tested = [name for fold in folds for name in fold.targets]
    assert sorted(tested) == list(catalogue), "every dataset is a target once"
    for fold in folds:
        assert not set(fold.sources) & set(fold.targets)
        assert {catalogue[name].info.domain for name in fold.targets} == set(fold.domains)
        for name in fold.targets:
            info = catalogue[name].info
            assert not set(fold.sources) & {*info.domain_overlaps, *info.subject_overlaps}
    sizes = [len(fold.domains) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


def test_folds_belong_to_their_seed(catalogue: MedIMeta) -> None:
    state = torch.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert catalogue.domain_folds(3, seed=1) == catalogue.domain_folds(3, seed=1)
    assert len({catalogue.domain_folds(3, seed=seed) for seed in range(8)}) > 4
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002
    with pytest.raises(InputError, match="give 2 to 9"):
        catalogue.domain_folds(10, seed=0)
    with pytest.raises(InputError, match="two integers"):
        catalogue.domain_folds(3, seed=None)  # type: ignore[arg-type]
