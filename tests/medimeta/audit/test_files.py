"""Every kind of finding about info.yaml, splits, labels, annotations, subjects, overlaps and
licences: provoked once each, reported at its place, and absent from a clean folder.
"""

import os
import shutil

import numpy as np
import pytest

from medimeta_adapter.audit import Severity, check
from tests.medimeta.audit_folders import Folder, audit, codes, kinds, only_finding
from torchcross.errors import InputError, SourceError


def test_a_clean_folder_has_no_findings(tmp_path, folder):
    folder.write(tiffs=True)
    report = check(tmp_path)
    assert report.findings == ()
    assert report.holds(Severity.NOTE)
    assert report.counts == {
        "datasets": 1,
        "tasks": 4,
        "images": 90,
        "errors": 0,
        "warnings": 0,
        "notes": 0,
    }
    (dataset,) = report.datasets
    assert (dataset.id, dataset.subjects, dataset.splits) == (
        "eyes",
        30,
        {"train": 60, "val": 15, "test": 15},
    )


def test_one_datasets_folder_is_checked_alone(tmp_path, folder):
    folder.write()
    Folder(tmp_path, "skin").write()
    assert [entry.id for entry in check(folder.path, pixels=False).datasets] == ["eyes"]
    assert [entry.id for entry in audit(tmp_path).datasets] == ["eyes", "skin"]


def test_what_is_no_folder_of_datasets_is_refused(tmp_path):
    with pytest.raises(SourceError, match="holds no dataset"):
        check(tmp_path)
    with pytest.raises(SourceError, match="is no folder"):
        check(tmp_path / "nothing")


@pytest.mark.parametrize(
    "options", [{"shots": 0}, {"queries": True}, {"workers": -1}, {"queries": "10"}]
)
def test_wrong_options_are_refused(tmp_path, folder, options):
    folder.write()
    with pytest.raises(InputError, match="is not an integer of at least 1"):
        check(tmp_path, **options)


# -- datasets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["id: [", "- a\n- b\n", "", "a: &a [*a]\n", "id: eyes\n", "id: ../eyes\nname: x\n"]
)
def test_a_dataset_that_does_not_open_is_told_and_the_others_go_on(tmp_path, folder, text):
    folder.write()
    bad = Folder(tmp_path, "bad").write()
    (bad.path / "info.yaml").write_text(text)
    report = check(tmp_path, pixels=False)
    found = only_finding(report, "dataset-unreadable")
    assert (found.severity, found.dataset, found.file) == (Severity.ERROR, "bad", "info.yaml")
    assert [entry.id for entry in report.datasets] == ["eyes"]


def test_images_without_an_info_file_are_a_dataset_that_does_not_open(tmp_path, folder):
    folder.write()
    (folder.path / "info.yaml").unlink()
    assert kinds(audit(tmp_path)) == ["dataset-unreadable"]


def test_two_folders_with_one_id(tmp_path, folder):
    folder.write()
    shutil.copytree(folder.path, tmp_path / "other")
    found = only_finding(audit(tmp_path), "id-twice")
    assert "'eyes' and 'other'" in found.message


@pytest.mark.parametrize("tiffs", [False, True])
def test_a_number_of_samples_that_no_file_can_hold(tmp_path, folder, tiffs):
    folder.info["total_num_samples"] = 1 << 38
    folder.write(tiffs=tiffs)
    if tiffs:
        (folder.path / "images.hdf5").unlink()
    report = check(tmp_path)
    assert kinds(report) == ["count-unbelievable"]
    assert report.datasets == ()


def test_a_folder_that_is_not_called_by_its_id(tmp_path, folder):
    folder.write().path.rename(tmp_path / "pictures")
    assert kinds(audit(tmp_path)) == ["folder-name"]


def test_a_link_out_of_the_root_is_not_followed_unless_wanted(tmp_path, folder):
    folder.write()
    root = tmp_path / "root"
    root.mkdir()
    (root / "eyes").symlink_to(folder.path)
    report = check(root, pixels=False)
    assert kinds(report) == ["dataset-unreadable"]
    assert "leads out of" in report.errors[0].message
    assert check(root, pixels=False, follow_links=True).findings == ()


@pytest.mark.parametrize("name", ["splits/train.txt", "task_labels/sick.npy", "annotations.csv"])
def test_a_file_that_is_a_link_out_of_the_root_is_not_read(tmp_path, name):
    folder = Folder(tmp_path / "root").write()
    outside = tmp_path / "outside"
    (folder.path / name).rename(outside)
    (folder.path / name).symlink_to(outside)
    errors = check(tmp_path / "root", pixels=False).errors
    assert [error.file for error in errors if "leads out of" in error.message] == [name]


# -- splits ----------------------------------------------------------------------------------------


def rewrite(folder, split, change):
    path = folder.path / "splits" / f"{split}.txt"
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


def split_findings(tmp_path):
    """Without those that follow from any changed split."""
    follow = ("annotations-split", "subjects-across-splits")
    return [finding for finding in audit(tmp_path).findings if finding.code not in follow]


def test_rows_listed_twice(tmp_path, folder):
    folder.write()
    rewrite(folder, "train", lambda lines: [*lines[:-1], lines[0]])
    found = {finding.code: finding for finding in split_findings(tmp_path)}
    assert set(found) == {"split-duplicate", "split-rows-unassigned"}
    assert (found["split-duplicate"].file, found["split-duplicate"].examples) == (
        "splits/train.txt",
        ("0",),
    )
    assert found["split-rows-unassigned"].examples == ("59",)
    assert found["split-rows-unassigned"].severity is Severity.WARNING


def test_rows_in_two_splits(tmp_path, folder):
    folder.write()
    rewrite(folder, "val", lambda lines: ["images/000000.tiff", *lines[1:]])
    found = {finding.code: finding for finding in split_findings(tmp_path)}
    assert set(found) == {"split-shared-rows", "split-rows-unassigned"}
    assert (found["split-shared-rows"].message, found["split-shared-rows"].count) == (
        "rows in both train and val",
        1,
    )


def test_rows_that_do_not_exist(tmp_path, folder):
    folder.write()
    rewrite(
        folder,
        "test",
        lambda lines: [*lines, "images/000090.tiff", "images/99999999999999999999.tiff"],
    )
    found = {finding.code: finding for finding in split_findings(tmp_path)}
    assert set(found) == {"split-out-of-range", "split-line-foreign", "split-count"}
    assert found["split-out-of-range"].examples == ("line 16: 'images/000090.tiff'",)


@pytest.mark.parametrize(
    "line",
    ["../../secret", "images/../../../secret", "/absolute/000001.tiff", "C:\\x.tiff", "..\\..\\x"],
)
def test_paths_that_leave_the_folder(tmp_path, folder, line):
    folder.write()
    rewrite(folder, "test", lambda lines: [*lines[1:], line])
    assert codes(split_findings(tmp_path)) == ["split-path-leaves-folder", "split-rows-unassigned"]


@pytest.mark.parametrize(
    "line", ["000001.tiff", "images/1.png", "images/-1.tiff", "a\0b", "images/٣.tiff"]
)
def test_lines_that_are_no_image(tmp_path, folder, line):
    folder.write()
    rewrite(folder, "test", lambda lines: [*lines[1:], line])
    assert codes(split_findings(tmp_path)) == ["split-line-foreign", "split-rows-unassigned"]


def test_a_split_file_that_is_missing(tmp_path, folder):
    folder.write()
    (folder.path / "splits" / "val.txt").unlink()
    found = {finding.code: finding for finding in split_findings(tmp_path)}
    assert set(found) == {"split-missing", "split-rows-unassigned"}
    assert found["split-missing"].field == "splits_num_samples.val"


def test_a_count_that_info_contradicts(tmp_path, folder):
    folder.info["splits_num_samples"] = {"train": 61, "val": 14, "test": 15}
    folder.write()
    found = [finding for finding in split_findings(tmp_path) if finding.code == "split-count"]
    assert [finding.field for finding in found] == [
        "splits_num_samples.train",
        "splits_num_samples.val",
    ]
    assert found[0].message == "60 lines; info.yaml counts 61"


def test_counts_that_do_not_add_up(tmp_path, folder):
    folder.splits["test"] = folder.splits["test"][:-3]
    folder.info["splits_num_samples"]["test"] -= 3
    folder.write()
    assert codes(split_findings(tmp_path)) == ["split-rows-unassigned", "split-sum"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"images/000000.tiff\n" * 10_000, None])
def test_a_split_that_cannot_be_read(tmp_path, folder, content):
    folder.write()
    path = folder.path / "splits" / "val.txt"
    path.unlink()
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    assert codes(split_findings(tmp_path)) == ["split-rows-unassigned", "split-unreadable"]


def test_original_splits_are_held_to_the_same_and_their_subjects_noted(tmp_path, folder):
    folder.info["original_splits_num_samples"] = {"train": 60, "val": 0, "test": 30}
    folder.write()
    (folder.path / "original_splits").mkdir()
    for name, rows in {"train": range(61), "test": range(61, 90)}.items():
        (folder.path / "original_splits" / f"{name}.txt").write_text(
            "".join(f"images/{r:06d}.tiff\n" for r in rows)
        )
    report = audit(tmp_path)
    assert kinds(report) == ["split-count", "split-count", "subjects-across-original-splits"]
    assert only_finding(report, "subjects-across-original-splits").severity is Severity.NOTE


# -- labels ----------------------------------------------------------------------------------------


def test_labels_that_cannot_be_read(tmp_path, folder):
    folder.labels["grade"] = np.full(90, 2)
    folder.labels["sick"] = np.zeros(89, dtype=np.int64)
    folder.labels["what it is"] = np.array([None] * 90)
    folder.write(annotations=False)
    (folder.path / "task_labels" / "signs.npy").unlink()
    found = [finding for finding in audit(tmp_path).findings if finding.code == "labels-unreadable"]
    assert sorted(finding.field for finding in found) == ["grade", "sick", "signs", "what it is"]
    assert all(finding.severity is Severity.ERROR for finding in found)


def test_a_task_that_is_constant(tmp_path, folder):
    folder.labels["sick"][:] = 1
    folder.write()
    report = audit(tmp_path)
    assert kinds(report) == ["class-empty", "class-scarce", "task-constant"]
    assert (
        only_finding(report, "task-constant").message
        == "every known label is 'yes'; nothing can be learned"
    )
    assert only_finding(report, "class-empty").examples == ("no",)


def test_labels_that_say_the_same_or_imply_each_other(tmp_path, folder):
    signs = folder.labels["signs"]
    signs[:, 1] = signs[:, 0]
    signs[:, 2] = signs[:, 0] & (np.arange(90) % 2)
    folder.write()
    report = audit(tmp_path, shots=1)
    assert kinds(report) == ["label-columns-equal", "label-implied"]
    assert only_finding(report, "label-columns-equal").examples == ("a = b",)
    assert only_finding(report, "label-implied").examples == ("c -> a", "c -> b")


def test_labels_that_all_or_none_have(tmp_path, folder):
    folder.labels["signs"][:, 0] = 1
    folder.labels["signs"][:, 2] = 0
    folder.write()
    report = audit(tmp_path)
    assert kinds(report) == ["class-empty", "class-scarce", "label-always"]
    assert only_finding(report, "class-scarce").examples == ("a: none", "c: none")


def test_files_of_no_task(tmp_path, folder):
    folder.write()
    np.save(folder.path / "task_labels" / "old.npy", np.zeros(3))
    assert only_finding(audit(tmp_path), "labels-stray").examples == ("old.npy",)
