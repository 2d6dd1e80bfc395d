"""Damaged folders of any kind end in a report, never in a traceback, and the other datasets are
still looked at.
"""

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medimeta_adapter.audit import AuditReport, check
from tests.examples import max_examples
from tests.medimeta.audit_folders import Folder

FILES = [
    *("info.yaml", "images.hdf5", "annotations.csv", "splits/train.txt", "splits/test.txt"),
    *("task_labels/sick.npy", "task_labels/signs.npy", "images/000000.tiff", "images/000008.tiff"),
]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    root = tmp_path_factory.mktemp("clean")
    Folder(root, "eyes", count=9, size=8).write(tiffs=True)
    Folder(root, "lids", count=9, size=8).write()
    return root


@st.composite
def damages(draw):
    """A file, and what becomes of its bytes."""
    file = draw(st.sampled_from(FILES))
    kind = draw(st.sampled_from(["cut", "flip", "insert", "replace", "remove"]))
    return file, kind, draw(st.floats(0, 1)), draw(st.binary(min_size=1, max_size=40))


def spoil(content, kind, place, noise):
    at = int(place * len(content))
    if kind == "cut":
        return content[:at]
    if kind == "flip":
        return content[:at] + noise + content[at + len(noise) :]
    return content[:at] + noise + content[at:] if kind == "insert" else noise


@pytest.mark.long
@max_examples(36)
@given(st.lists(damages(), min_size=1, max_size=3))
def test_any_damage_ends_in_a_report(clean, tmp_path_factory, found):
    root = tmp_path_factory.mktemp("spoilt") / "root"
    shutil.copytree(clean, root)
    for file, kind, place, noise in found:
        path = root / "eyes" / file
        if kind == "remove":
            path.unlink(missing_ok=True)
        elif path.exists():
            path.write_bytes(spoil(path.read_bytes(), kind, place, noise))
    report = check(root)
    assert isinstance(report, AuditReport)
    assert "lids" in [dataset.id for dataset in report.datasets]
    assert not [
        finding
        for finding in report.findings
        if finding.dataset == "lids" and finding.severity == "error"
    ]
    assert report.to_json() == check(root).to_json()
    shutil.rmtree(root)


@pytest.mark.parametrize(
    "name", ["splits", "task_labels", "images", "annotations.csv", "info.yaml", "images.hdf5"]
)
@pytest.mark.parametrize("instead", ["folder", "file", "loop"])
def test_a_folder_where_a_file_should_be_and_the_reverse(clean, tmp_path, name, instead):
    shutil.copytree(clean, tmp_path / "root")
    path = tmp_path / "root" / "eyes" / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if instead == "folder":
        path.mkdir()
    elif instead == "file":
        path.write_text("x")
    else:
        path.symlink_to(path)
    report = check(tmp_path / "root")
    assert "lids" in [dataset.id for dataset in report.datasets]
