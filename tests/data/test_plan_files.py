"""Plans in a file: what was saved comes back, and nothing else is believed."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

import torchcross as tx
from tests.examples import max_examples
from torchcross.data import LabelSource, toys
from torchcross.errors import (
    InputError,
    PlanFileError,
    SubjectLeakWarning,
    TorchcrossError,
    WriteError,
)
from torchcross.targets import Binary, MultiClass

SAMPLERS = {
    "multiclass": lambda: tx.EpisodeSampler(
        toys.multiclass(), ways=(2, None), shots=(1, 5), queries=3
    ),
    "binary": lambda: tx.EpisodeSampler(toys.binary(), shots=2, queries=3),
    "ordinal": lambda: tx.EpisodeSampler(
        toys.ordinal(), ways=3, shots=2, queries=3, query="natural"
    ),
    "multilabel": lambda: tx.EpisodeSampler(toys.multilabel(), ways=(1, 3), shots=2, queries=3),
    "metadataset": lambda: tx.EpisodeSampler(
        toys.multiclass(), shots=tx.MetaDatasetShots(max_support=30), queries=3
    ),
    "mixture": lambda: tx.EpisodeSampler([toys.binary(), toys.multilabel()], shots=2, queries=3),
    "disjoint": lambda: tx.EpisodeSampler(toys.ordinal(), shots=2, queries=3, disjoint=7),
}


@pytest.mark.parametrize("kind", SAMPLERS)
def test_what_is_saved_comes_back(kind: str, tmp_path) -> None:
    sampler = SAMPLERS[kind]()
    indices = None if kind == "disjoint" else [3, 0, 12]
    tx.save_plans(tmp_path / "plans.npz", sampler, indices)
    found = tx.load_plans(tmp_path / "plans.npz", sampler.sources)
    assert list(found) == [sampler[index] for index in (range(7) if indices is None else indices)]
    assert found.header["seed"] == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_plans_from_a_file_go_where_a_sampler_goes(tmp_path) -> None:
    sampler = SAMPLERS["multiclass"]()
    tx.save_plans(tmp_path / "plans.npz", sampler, range(5))
    plans = tx.load_plans(tmp_path / "plans.npz", toys.multiclass())
    episodes = list(tx.EpisodeLoader(plans, len(plans), workers=1))
    assert [episode.plan for episode in episodes] == list(sampler.batch(range(5)))
    assert pickle.loads(pickle.dumps(plans))[4] == sampler[4]


@pytest.mark.slow
def test_the_same_plans_make_the_same_bytes(tmp_path) -> None:
    for name in ("one", "two"):
        tx.save_plans(tmp_path / f"{name}.npz", SAMPLERS["mixture"](), range(4))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.slow
def test_saving_replaces_whole_files_and_leaves_no_pieces(tmp_path, monkeypatch) -> None:
    path = tmp_path / "plans.npz"
    tx.save_plans(path, SAMPLERS["binary"](), range(2))
    before = path.read_bytes()

    def torn(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", torn)
    with pytest.raises(WriteError, match="disk full"):
        tx.save_plans(path, SAMPLERS["binary"](), range(9))
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["plans.npz"]


@pytest.mark.slow
def test_odd_requests_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"ends in \.npz"):
        tx.save_plans(tmp_path / "plans.pkl", SAMPLERS["binary"](), range(2))
    with pytest.raises(InputError, match="no plans"):
        tx.save_plans(tmp_path / "plans.npz", SAMPLERS["binary"](), [])
    with pytest.raises(TypeError, match="no length"):
        tx.save_plans(tmp_path / "plans.npz", SAMPLERS["binary"]())


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "plans.npz"
    tx.save_plans(path, SAMPLERS["multiclass"](), range(4))
    return path


def test_other_labels_are_refused_and_both_are_named(saved) -> None:
    with pytest.raises(PlanFileError, match=r"600 samples .* given are 500 samples"):
        tx.load_plans(saved, toys.multiclass(500))
    other = toys.multiclass(seed=1)
    with pytest.raises(PlanFileError, match="made for other labels of 'ink/shape'"):
        tx.load_plans(saved, other)
    with pytest.raises(
        PlanFileError, match=r"over the source 'ink/shape'; the sources given are \['ink/hole'\]"
    ):
        tx.load_plans(saved, toys.binary())


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(PlanFileError, match="there is no file"):
        tx.load_plans(tmp_path / "none.npz", toys.binary())


def rewrite(path, **changes) -> None:
    """The same archive with some members replaced; a callable changes the array, bytes replace the
    member.
    """
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, change in changes.items():
        if callable(change):
            buffer = io.BytesIO()
            np.save(
                buffer,
                change(np.load(io.BytesIO(members[f"{name}.npy"]), allow_pickle=False)),
                allow_pickle=True,
            )
            members[f"{name}.npy"] = buffer.getvalue()
        else:
            members[f"{name}.npy"] = change
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def header(**changes):
    def change(text):
        return np.frombuffer(
            json.dumps(json.loads(text.tobytes()) | changes).encode(), dtype=np.uint8
        )

    return change


def at(position, value):
    def change(array):
        array = array.copy()
        array[position] = value
        return array

    return change


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"header": header(version=3)}, "version 3, and this torchcross reads up to version 2"),
        ({"header": header(version=0)}, "damaged header"),
        ({"header": header(format="other")}, "format 'other'"),
        ({"header": header(sources=[])}, "damaged header"),
        ({"header": header(plans=9)}, "do not hold 9 plans"),
        ({"header": lambda text: text[:10]}, "no readable header"),
        (
            {"header": lambda text: np.frombuffer(b"[" * 100_000, dtype=np.uint8)},
            "no readable header",
        ),
        ({"support": at(0, 10**6)}, "not a set of samples"),
        ({"support": at(0, -1)}, "not a set of samples"),
        ({"support": lambda a: a[:-1]}, "support ends too early"),
        ({"support": lambda a: np.append(a, 0)}, "more samples than its plans"),
        ({"support_labels": lambda a: a[::-1].copy()}, "labels are not those of the source"),
        ({"classes": lambda a: np.zeros_like(a)}, "not 2 to 5 ascending"),
        ({"classes": at(0, 99)}, "not 2 to 5 ascending"),
        ({"sizes": at((0, 0), -3)}, "ends too early"),
        ({"sizes": at((0, 0), 1)}, "not 2 to 5 ascending"),
        ({"sizes": at((0, 1), 0)}, "support is not a set of samples"),
        ({"shots": at(0, 99)}, "does not have 99 shots"),
        ({"index": at(1, -7)}, "negative, or stands twice"),
        ({"index": lambda a: np.zeros_like(a)}, "negative, or stands twice"),
        ({"header": header(version=True)}, "damaged header|not a file of plans"),
        ({"sizes": lambda a: a[:2]}, "do not hold 4 plans"),
        ({"source": at(1, 5)}, "plan 1: source 5"),
        ({"query": lambda a: a.astype(np.float64)}, "claims float64"),
        ({"query": lambda a: np.array([{"a": 1}], dtype=object)}, "not a whole file of plans"),
        ({"query": b"\x93NUMPY\x01\x00nonsense"}, "not a whole file of plans"),
    ],
)
def test_damaged_files_are_refused_by_name(saved, changes, says) -> None:
    rewrite(saved, **changes)
    with pytest.raises(PlanFileError, match=says):
        tx.load_plans(saved, toys.multiclass())


def test_a_shared_sample_is_refused(saved) -> None:
    plans = tx.load_plans(saved, toys.multiclass())
    twin = int(plans[0].query[0])
    rewrite(saved, support=at(0, twin), support_labels=at(0, int(plans[0].query_labels[0])))
    with pytest.raises(PlanFileError, match="support and query share samples"):
        tx.load_plans(saved, toys.multiclass())


def test_a_small_file_that_claims_to_be_large_is_refused_unread(saved) -> None:
    shape = b"(1000000000000,)"
    text = b"{'descr': '<i8', 'fortran_order': False, 'shape': " + shape + b", }"
    text += b" " * (118 - len(text)) + b"\n"
    rewrite(saved, query=b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(PlanFileError, match=r"claims int64 \(1000000000000,\) and holds 0 bytes"):
        tx.load_plans(saved, toys.multiclass())


def test_compressed_members_are_refused(saved) -> None:
    with np.load(saved) as file:
        arrays = dict(file)
    np.savez_compressed(saved, **arrays)
    with pytest.raises(PlanFileError, match="compressed"):
        tx.load_plans(saved, toys.multiclass())


def test_nothing_is_unpickled(saved) -> None:
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    rewrite(saved, query=pickle.dumps(Trap()))
    with pytest.raises(PlanFileError):
        tx.load_plans(saved, toys.multiclass())


@pytest.mark.long
@given(data=st.data())
@max_examples(36, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_are_an_error_of_ours_or_change_nothing(saved, tmp_path, data) -> None:
    content = bytearray(saved.read_bytes())
    kind = data.draw(st.sampled_from(["cut", "flip", "noise"]))
    if kind == "cut":
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    elif kind == "flip":
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
            content[place] ^= data.draw(st.integers(1, 255))
    else:
        content = bytearray(data.draw(st.binary(max_size=200)))
    hostile = tmp_path / "hostile.npz"
    hostile.write_bytes(bytes(content))
    original = list(tx.load_plans(saved, toys.multiclass()))
    try:
        found = list(tx.load_plans(hostile, toys.multiclass()))
    except TorchcrossError:
        return
    assert found == original, "what loads has passed the archive's checksums"


def test_plans_from_a_file_can_be_saved_again(tmp_path, saved) -> None:
    plans = tx.load_plans(saved, toys.multiclass())
    tx.save_plans(tmp_path / "again.npz", plans, [3, 1])
    again = tx.load_plans(tmp_path / "again.npz", toys.multiclass())
    assert list(again) == [plans[3], plans[1]]
    assert again.header["seed"] == plans.header["seed"]
    with pytest.raises(InputError, match="got a LabelSource; give a sampler"):
        tx.save_plans(tmp_path / "no.npz", LabelSource([0, 1], tx.Task("b", Binary())))


def test_subjects_on_both_sides_are_said_aloud_when_plans_are_loaded(tmp_path) -> None:
    source = toys.multiclass(60)
    free = LabelSource(source.labels, source.task)
    tx.save_plans(tmp_path / "plans.npz", tx.EpisodeSampler(free, shots=3, queries=3), range(3))
    with pytest.warns(SubjectLeakWarning, match=r"in \d of 3 episodes a subject stands in both"):
        plans = tx.load_plans(tmp_path / "plans.npz", source)
    assert max(plans.shared_subjects(plan) for plan in plans) > 0


def test_samples_outside_the_classes_of_a_plan_are_refused(tmp_path) -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, -1, -1])
    source = LabelSource(labels, tx.Task("b", Binary(missing=-1)))
    path = tmp_path / "plans.npz"
    tx.save_plans(path, tx.EpisodeSampler(source, shots=1, queries=2), range(1))
    rewrite(path, query=at(0, 6), query_labels=at(0, -1))
    with pytest.raises(PlanFileError, match="query labels are not those of the source"):
        tx.load_plans(path, source)


def test_large_numbers_of_plans_are_one_small_file(tmp_path) -> None:
    source = LabelSource(
        np.arange(1000) % 10, tx.Task("ten", MultiClass([str(n) for n in range(10)]))
    )
    sampler = tx.EpisodeSampler(source, ways=5, shots=1, queries=2)
    tx.save_plans(tmp_path / "plans.npz", sampler, range(1000))
    assert (tmp_path / "plans.npz").stat().st_size < 1000 * (15 * 16 + 5 * 8 + 6 * 8) + 10_000
    assert len(tx.load_plans(tmp_path / "plans.npz", source)) == 1000
