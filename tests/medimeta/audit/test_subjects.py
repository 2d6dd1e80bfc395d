"""Findings about annotations and subjects, and between datasets: provoked once each, and absent
from a clean folder.
"""

import numpy as np
import pytest

from medimeta_adapter.audit import Severity
from medimeta_adapter.convert import About, ArrayTask, Options, arrays
from tests.medimeta.audit_folders import Folder, audit, kinds, only_finding

# -- annotations and subjects ----------------------------------------------------------------------


def test_a_table_that_cannot_be_read(tmp_path, folder):
    folder.write()
    (folder.path / "annotations.csv").write_text("filepath,split\nimages/000000.tiff,train\n")
    assert kinds(audit(tmp_path)) == ["annotations-unreadable", "subjects-unknown"]


def test_no_table(tmp_path, folder):
    folder.write()
    (folder.path / "annotations.csv").unlink()
    assert kinds(audit(tmp_path)) == ["annotations-missing", "subjects-unknown"]


def test_a_table_that_says_other_splits_and_labels(tmp_path, folder):
    folder.write()
    path = folder.path / "annotations.csv"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace("train", "test").replace("[1 1 1]", "[1 1 0]")
    lines[2] = lines[2].replace(",train,0", ",train,1")
    path.write_text("\n".join(lines) + "\n")
    report = audit(tmp_path)
    assert only_finding(report, "annotations-split").examples == ("row 0: test, in train",)
    labels = [finding for finding in report.findings if finding.code == "annotations-labels"]
    assert [(finding.field, finding.examples) for finding in labels] == [
        ("tasks/sick", ("1",)),
        ("tasks/signs", ("0",)),
    ]
    assert not report.holds()


@pytest.mark.parametrize("nothing", ["", "nan", "none"])
def test_a_row_in_no_split_may_be_called_so(tmp_path, folder, nothing):
    folder.splits["test"] = folder.splits["test"][:-1]
    folder.info["splits_num_samples"]["test"] -= 1
    folder.write()
    path = folder.path / "annotations.csv"
    path.write_text(
        path.read_text().replace("images/000089.tiff,,", f"images/000089.tiff,{nothing},")
    )
    assert kinds(audit(tmp_path)) == ["split-rows-unassigned", "split-sum"]


def test_a_table_of_words_or_of_numbers_written_otherwise_is_no_contradiction(tmp_path, folder):
    labels = folder.labels
    folder.write(annotations=False)
    folder.labels = labels | {
        "sick": np.array(["no", "yes"])[labels["sick"]],
        "grade": labels["grade"].astype(np.float64),
        "signs": np.array([" ".join(map(str, row)) for row in labels["signs"]]),
    }
    folder.write_annotations()
    assert kinds(audit(tmp_path)) == []


def test_subjects_in_two_splits_are_an_error(tmp_path, folder):
    folder.patients[60] = folder.patients[0]
    folder.patients[89] = folder.patients[0]
    folder.write()
    report = audit(tmp_path)
    found = [finding for finding in report.findings if finding.code == "subjects-across-splits"]
    assert [finding.message.partition(",")[0] for finding in found] == [
        "subjects in both train and test",
        "subjects in both train and val",
        "subjects in both val and test",
    ]
    assert all(finding.severity is Severity.ERROR for finding in found)
    assert found[0].examples == ("eyes-person-0000",)
    assert "with 4 images there" in found[0].message
    assert not report.holds()


def test_images_without_a_subject(tmp_path, folder):
    folder.patients[5], folder.patients[7] = "", "nan"
    folder.write()
    report = audit(tmp_path)
    assert kinds(report) == ["subject-unknown"]
    assert only_finding(report, "subject-unknown").examples == ("5", "7")


def test_no_subjects_are_noted(tmp_path):
    Folder(tmp_path, subjects=False).write()
    report = audit(tmp_path)
    assert kinds(report) == ["subjects-unknown"]
    assert report.datasets[0].subjects is None
    assert report.holds(Severity.WARNING)


# -- between datasets ------------------------------------------------------------------------------


def two(tmp_path, **more):
    first, second = Folder(tmp_path, "eyes"), Folder(tmp_path, "lids", domain="Lids")
    for name, value in more.items():
        second.info[name] = value
    return first, second


def test_subjects_of_target_and_sources(tmp_path):
    first, second = two(tmp_path)
    second.patients[:6] = first.patients[:6]
    first.write(), second.write()
    report = audit(tmp_path)
    found = only_finding(report, "subjects-across-datasets")
    assert (found.severity, found.dataset, found.field, found.count) == (
        Severity.WARNING,
        "eyes",
        "lids",
        2,
    )
    assert found.examples == ("eyes-person-0000", "eyes-person-0001")


def test_unknown_subjects_of_two_datasets_are_not_the_same_person(tmp_path):
    first, second = two(tmp_path)
    for one in (first, second):
        one.patients[5], one.patients[7] = "", "n/a"
        one.write()
    report = audit(tmp_path)
    assert {finding.code for finding in report.findings} == {"subject-unknown"}


def test_unknown_subjects_of_a_converted_dataset_are_named(tmp_path):
    task = ArrayTask("sick", "binary", np.arange(30) % 2)
    who = [None, *(f"p{row}" for row in range(29))]
    images = np.arange(30 * 64).reshape(30, 8, 8).astype(np.uint8)
    about = About(id="eyes", domain="Eyes", license="CC0")
    arrays(images, [task], tmp_path, about, subjects=who, options=Options(tiffs=False))
    assert only_finding(audit(tmp_path), "subject-unknown").examples == ("0",)


def test_short_numbers_may_be_a_coincidence(tmp_path):
    first, second = two(tmp_path)
    first.patients = second.patients = [str(row // 3) for row in range(90)]
    first.write(), second.write()
    assert only_finding(audit(tmp_path), "subjects-across-datasets").severity is Severity.NOTE


@pytest.mark.parametrize("field", ["domain_overlaps", "subject_overlaps"])
def test_subjects_of_datasets_that_leave_each_other_out_are_no_leak(tmp_path, field):
    first, second = two(tmp_path, **{field: ["eyes"]})
    second.patients = first.patients
    first.write(), second.write()
    assert kinds(audit(tmp_path)) == ["overlap-asymmetric"]
    first.info[field] = ["lids"]
    first.write()
    assert kinds(audit(tmp_path)) == []


def test_overlaps_with_itself_and_with_what_is_not_there(tmp_path, folder):
    folder.info["subject_overlaps"] = ["eyes", "ears"]
    folder.write()
    report = audit(tmp_path)
    assert kinds(report) == ["overlap-absent", "overlap-itself"]
    assert only_finding(report, "overlap-absent").examples == ("ears",)


@pytest.mark.parametrize(
    ("licence", "expected", "terms"),
    [
        ("CC BY 4.0", [], ()),
        ("", ["licence-missing"], ()),
        ("CC BY-NC-SA 4.0", ["licence-terms"], ("non-commercial", "share-alike")),
        ("CC BY-SA 4.0", ["licence-terms"], ("share-alike",)),
        ("CC BY-NC-ND 4.0", ["licence-terms"], ("non-commercial", "no derivatives")),
        ("NCSA Open Source", [], ()),
        ("for noncommercial use", ["licence-terms"], ("non-commercial",)),
    ],
)
def test_licences(tmp_path, folder, licence, expected, terms):
    folder.info["license"] = licence
    folder.write()
    report = audit(tmp_path)
    assert kinds(report) == expected
    assert report.datasets[0].terms == terms
