"""The generated folders have the shape of the real ones, say that they are synthetic, and are the
same every time.
"""

import csv
import hashlib
from importlib import import_module

import h5py
import numpy as np
import pytest

from medimeta_adapter import MedIMeta
from medimeta_adapter.format.info import read_info
from medimeta_adapter.synthetic import SCALES, catalog, generate
from medimeta_adapter.synthetic.factors import FACTORS, Derived
from medimeta_adapter.synthetic.plan import split_sizes
from torchcross.errors import InputError, WriteError

ALL = tuple(catalog.datasets.values())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", params=ALL, ids=lambda entry: entry.id)
def written(request, tiny):
    """A catalogue entry, its folder and its info."""
    folder = tiny / request.param.id
    return request.param, folder, read_info(folder / "info.yaml")


def labels_of(folder, task):
    return np.load(folder / "task_labels" / f"{task.name}.npy", allow_pickle=False)


def annotations(folder):
    with (folder / "annotations.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def digest(folder):
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


# -- the shape of the catalogue --------------------------------------------------------------------


@pytest.mark.slow
def test_the_info_is_the_catalogues(written):
    entry, _, info = written
    assert (info.id, info.domain, info.input_size) == (
        entry.id,
        entry.domain,
        (entry.channels, 28, 28),
    )
    assert (info.domain_overlaps, info.subject_overlaps) == (
        entry.domain_overlaps,
        entry.subject_overlaps,
    )
    found = [(task.name, task.task_target, tuple(task.labels)) for task in info.tasks]
    assert found == [(task.name, task.task_target, task.label_keys) for task in entry.tasks]
    assert info.splits_num_samples == split_sizes(entry, SCALES["tiny"])
    assert info.total_num_samples >= 60


def test_it_says_that_it_is_synthetic(written):
    entry, folder, info = written
    assert info.name == f"{entry.name} (synthetic)"
    assert info.summary.startswith("SYNTHETIC")
    assert info.extra["synthetic"] is True
    assert info.extra["synthetic_recipe"] == 3
    assert all("synthetic_difficulty" in task.extra for task in info.tasks)
    assert all(name.startswith("synthetic") for task in info.tasks for name in task.labels.values())
    assert "show nothing real" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert all(row["original_filepath"].startswith("synthetic/") for row in annotations(folder))


def test_pixels_and_labels_are_there(written):
    entry, folder, info = written
    with h5py.File(folder / "images.hdf5") as file:
        images = file["images"][:]
    rgb = (3,) if entry.channels == 3 else ()
    assert images.shape == (info.total_num_samples, 28, 28, *rgb)
    assert (images.reshape(len(images), -1).std(axis=1) > 4).all()
    assert len({image.tobytes() for image in images}) == len(images)
    for task in entry.tasks:
        labels = labels_of(folder, task)
        assert labels.shape == (
            len(images),
            *((task.num_labels,) if task.kind == "multilabel" else ()),
        )
        assert set(np.unique(labels)) <= set(task.label_keys)


def test_every_split_has_every_label(written):
    entry, folder, _ = written
    splits = np.array([row["split"] for row in annotations(folder)])
    for task in entry.tasks:
        labels = labels_of(folder, task)
        answers = labels if labels.ndim == 2 else labels[:, None] == task.label_keys
        assert (answers.sum(axis=0) >= SCALES["tiny"].per_class).all()
        for split in ("train", "val", "test"):
            assert answers[splits == split].any(axis=0).all()
            assert labels.ndim == 1 or not answers[splits == split].all(axis=0).any()


@pytest.mark.long
def test_as_many_sources_are_left_as_the_catalogue_says(tiny):
    meta = MedIMeta(tiny)
    assert (len(meta), len(meta.tasks), len(meta.domains)) == (19, 54, 10)
    for entry in ALL:
        sources, _ = meta.leave_one_domain_out(entry.id, all_tasks=True)
        names = {source.dataset_id for source in sources}
        assert (len(names), len(sources)) == (entry.lodo_sources.datasets, entry.lodo_sources.tasks)


def test_subjects_keep_to_one_split(written):
    entry, folder, _ = written
    rows = annotations(folder)
    real_one_has_them = (
        "patient" in entry.split_unit
        or "volume" in entry.split_unit
        or bool(entry.subject_overlaps)
        or entry.id == "dr_regular"
    )
    assert ("patient_id" in rows[0]) == real_one_has_them
    if real_one_has_them:
        subjects = {row["patient_id"] for row in rows}
        assert len(subjects) == len({(row["patient_id"], row["split"]) for row in rows}) < len(rows)


def test_views_of_the_same_subjects_share_them_and_no_others_do(tiny):
    subjects = {}
    for entry in ALL:
        rows = annotations(tiny / entry.id)
        subjects[entry.id] = {
            (row["patient_id"], row["split"]) for row in rows if "patient_id" in row
        }
    for entry in ALL:
        for other in ALL:
            if subjects[entry.id] and other.id != entry.id:
                shared = {name for name, _ in subjects[entry.id]} & {
                    name for name, _ in subjects[other.id]
                }
                assert bool(shared) == (other.id in entry.subject_overlaps)
    assert subjects["organs_axial"] == subjects["organs_coronal"] == subjects["organs_sagittal"]


# -- labels ----------------------------------------------------------------------------------------


def test_derived_labels_follow_from_their_parents(tiny):
    for entry in ALL:
        for task in entry.tasks:
            rule = FACTORS[entry.id][task.name]
            if isinstance(rule, Derived):
                (parent,) = [other for other in entry.tasks if other.name == rule.parent]
                above = labels_of(tiny / entry.id, parent)
                above = above.any(axis=1).astype(int) if above.ndim == 2 else above
                assert (labels_of(tiny / entry.id, task) == np.array(rule.classes)[above]).all()
                assert len(rule.classes) == (
                    2 if parent.kind == "multilabel" else parent.num_labels
                )
    calc = labels_of(tiny / "mammo_calc", catalog.datasets["mammo_calc"].tasks[1])
    assert (calc[:, 6] >= calc[:, 7]).all()
    assert (calc[:, 6] > calc[:, 7]).any()


# -- the same every time ---------------------------------------------------------------------------


def test_the_bytes_depend_on_neither_workers_nor_company(tiny, tmp_path):
    generate(tmp_path, only=["oct", "fundus"], workers=3)
    for name in ("oct", "fundus"):
        assert digest(tmp_path / name) == digest(tiny / name)


def test_another_seed_gives_other_images(tiny, tmp_path):
    generate(tmp_path, only=["oct"], seed=1)
    with (
        h5py.File(tmp_path / "oct" / "images.hdf5") as ours,
        h5py.File(tiny / "oct" / "images.hdf5") as theirs,
    ):
        assert (ours["images"][:] != theirs["images"][:]).any(axis=(1, 2)).all()


def test_an_interrupted_call_goes_on(tiny, tmp_path, monkeypatch):
    def stop(name, done, total):
        if name == "aml" or done > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, only=["oct", "aml"], resume=True, progress=stop)
    assert not (tmp_path / "aml").exists()
    told = []
    generate(tmp_path, only=["oct", "aml"], resume=True, progress=lambda *news: told.append(news))
    assert told[0] == ("oct", 60, 60)
    for name in ("oct", "aml"):
        assert digest(tmp_path / name) == digest(tiny / name)
    with pytest.raises(WriteError, match=r"another call: extra\.synthetic_seed was 0 and is 1"):
        generate(tmp_path, only=["oct"], resume=True, seed=1)
    with monkeypatch.context() as later:
        later.setattr(import_module("medimeta_adapter.synthetic.generate"), "RECIPE", 4)
        with pytest.raises(WriteError, match=r"extra\.synthetic_recipe was 3 and is 4"):
            generate(tmp_path, only=["oct"], resume=True)
    with pytest.raises(WriteError):
        generate(tmp_path, only=["oct"])
    generate(tmp_path, only=["oct"], seed=1, overwrite=True)
    assert digest(tmp_path / "oct") != digest(tiny / "oct")


def test_tiffs_hold_the_same_pixels(tmp_path):
    from PIL import Image

    generate(tmp_path, only=["pbc"], tiffs=True, size=32)
    with (
        h5py.File(tmp_path / "pbc" / "images.hdf5") as file,
        Image.open(tmp_path / "pbc/images/000007.tiff") as image,
    ):
        assert (np.asarray(image) == file["images"][7]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": "huge"}, "scale='huge'; choose one of"),
        ({"scale": 1.5}, "scale=1.5"),
        ({"scale": float("nan")}, "scale=nan"),
        ({"scale": 0}, "scale=0"),
        ({"size": 8}, "size=8"),
        ({"size": 28.0}, "size=28.0"),
        ({"seed": -1}, "seed=-1"),
        ({"workers": 0}, "workers=0"),
        ({"only": "oct"}, "give a list of dataset ids"),
        ({"only": []}, "no dataset to generate"),
        ({"only": ["otc"]}, "no dataset 'otc'"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        generate(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def test_a_damaged_build_is_told_an_option_that_exists(tmp_path):
    def stop(*news):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, only=["oct"], resume=True, progress=stop)
    journal = tmp_path / ".oct.partial/.journal.jsonl"
    journal.write_bytes(b"{\n")
    with pytest.raises(WriteError, match=r"resume=False \(without --resume\)$"):
        generate(tmp_path, only=["oct"], resume=True)
    generate(tmp_path, only=["oct"])
    with pytest.raises(WriteError, match=r"extra\.synthetic_seed was 0 and is 3.*--overwrite"):
        generate(tmp_path, only=["oct"], seed=3, resume=True)


def test_tiffs_are_counted_before_a_dataset_is_done(tmp_path):
    told = []
    generate(tmp_path, only=["oct"], tiffs=True, progress=lambda *news: told.append(news))
    counts = [done for _, done, _ in told]
    total = told[-1][2]
    assert counts == sorted(counts)
    assert counts[0] <= total // 2 < counts[-2] < counts[-1] == total
