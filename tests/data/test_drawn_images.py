"""Plans of a run say what they drew from. A file that contradicts itself is refused."""

import json
import zipfile

import numpy as np
import pytest

from torchcross._kit.content_hash import with_hash
from torchcross.data import EpisodeSampler, LabelSource, load_plans, save_plans, toys
from torchcross.data.plan_files.drawn_images import (
    arrays_hash,
    read_drawn_images,
    write_drawn_images,
)
from torchcross.data.plan_files.plan_file import write_arrays
from torchcross.errors import DamageError, InputError, PlanFileError

pytestmark = pytest.mark.filterwarnings("ignore::torchcross.errors.SubjectLeakWarning")

MAKERS = {
    "binary": toys.binary,
    "multi-class": toys.multiclass,
    "multi-label": toys.multilabel,
    "ordinal": toys.ordinal,
}
EPISODES = 6


def source_of(kind, groups=True):
    made = MAKERS[kind](120, size=8)
    subjects = [f"patient {number // 2 % 40}" for number in range(len(made))]
    labels = made.labels if made.labels.ndim == 2 else made.task.target.decode(made.labels)
    return LabelSource(labels, made.task, groups=subjects if groups else None, name=made.name)


def level_of(source, shots=2):
    sampler = EpisodeSampler(source, shots=shots, queries=2, seed=3, groups="ignore")
    return sampler.curve((1, 2)).at(shots)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plans.npz"


def write(path, source):
    level = level_of(source)
    write_drawn_images(path, level, level.batch(range(EPISODES)))
    return level


@pytest.mark.parametrize("groups", [True, False])
@pytest.mark.parametrize("kind", MAKERS)
def test_it_says_which_images_of_which_labels_and_subjects_an_episode_drew(path, kind, groups):
    source = source_of(kind, groups)
    level = write(path, source)
    drawn = read_drawn_images(path)
    assert drawn.episodes.tolist() == list(range(EPISODES))
    for number in range(EPISODES):
        plan, here = level[number], drawn.rows == number
        for side, images in (("query", plan.query), ("support", plan.support)):
            chosen = here & (drawn.in_support == (side == "support"))
            assert drawn.images[chosen].tolist() == images.tolist()
            labels = drawn.stratum_labels[drawn.strata[chosen]]
            assert np.array_equal(labels, source.labels[images])
    labels, counts = np.unique(source.labels, axis=0, return_counts=True)
    assert np.array_equal(drawn.stratum_labels, labels)
    assert np.array_equal(drawn.stratum_images, counts)
    if not groups:
        assert drawn.subjects is None
        assert drawn.source_subjects is None
        return
    assert drawn.source_subjects == 40
    # The numbers part the images as the subjects do, and say nothing else of them.
    pairs = set(zip(source.groups[drawn.images].tolist(), drawn.subjects.tolist(), strict=True))
    assert len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})
    assert list(dict.fromkeys(drawn.subjects.tolist())) == list(range(len(pairs)))
    of_stratum = [
        len(
            set(source.groups[(source.labels == row).reshape(len(source), -1).all(axis=1)].tolist())
        )
        for row in labels
    ]
    assert drawn.stratum_subjects.tolist() == of_stratum


def test_equal_plans_make_equal_bytes_and_the_plans_are_public(path, tmp_path):
    source = source_of("multi-label", groups=False)
    level = write(path, source)
    first = path.read_bytes()
    write(path, source)
    assert path.read_bytes() == first
    plans = load_plans(path, source)
    assert list(plans) == list(level.batch(range(EPISODES)))
    assert plans.provenance() == level.provenance()
    save_plans(tmp_path / "again.npz", plans)
    with pytest.raises(PlanFileError, match=r"again\.npz is not a whole file of plans"):
        read_drawn_images(tmp_path / "again.npz")


def test_a_changed_byte_of_the_content_is_noticed(path):
    write(path, source_of("binary"))
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info.header_offset for info in archive.infolist()}
    for name, offset in members.items():
        # The last byte of the member's content, after its local header.
        size = zipfile.ZipFile(path).getinfo(name).file_size
        start = content.index(b"\x93NUMPY", offset)
        spoilt = bytearray(content)
        spoilt[start + size - 1] ^= 1
        path.write_bytes(spoilt)
        if size <= 128:
            continue
        with pytest.raises((PlanFileError, DamageError), match=r"plans\.npz"):
            read_drawn_images(path)
        path.write_bytes(content)


def contradict(path, change):
    """Change a file and give it hashes that fit."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    header["sha256 of the arrays"] = arrays_hash(arrays)
    header.pop("sha256")
    with path.open("wb") as file:
        write_arrays(file, with_hash(header), arrays)


def set_to(name, value):
    def change(header, arrays):
        changed = arrays[name].copy()
        changed[0] = value
        arrays[name] = changed

    return change


def with_field(name, value):
    return lambda header, arrays: header.__setitem__(name, value)


CONTRADICTIONS = {
    "image": (set_to("support", 10**6), "none of the source's"),
    "negative image": (set_to("query", -1), "none of the source's"),
    "twice": (lambda header, arrays: set_to("support", arrays["support"][1])(header, arrays), "."),
    "stratum": (set_to("query_strata", 99), "an image has no stratum"),
    "other stratum": (
        lambda header, arrays: arrays.update(query_strata=1 - arrays["query_strata"]),
        "two strata or subjects",
    ),
    "both other strata": (
        lambda header, arrays: arrays.update(
            query_strata=1 - arrays["query_strata"], support_strata=1 - arrays["support_strata"]
        ),
        "fewer images than were drawn",
    ),
    "labels": (
        lambda header, arrays: arrays.update(query_labels=1 - arrays["query_labels"]),
        "not those of the strata",
    ),
    "label": (set_to("support_labels", 7), "."),
    "class": (set_to("classes", -1), "."),
    "subject": (set_to("support_subjects", 99), "a subject is none"),
    "fewer subjects": (set_to("strata_subjects", 1), "fewer subjects than were drawn"),
    "size of a stratum": (set_to("strata_images", 10**12), "not the source"),
    "subjects of a stratum": (set_to("strata_subjects", 10**12), "more than images"),
    "empty stratum": (set_to("strata_images", 0), "not the source"),
    "sizes": (set_to("sizes", 10**12), "too early or late"),
    "negative sizes": (set_to("sizes", -1), "a plan is empty"),
    "source": (set_to("source", 1), "of another source"),
    "episode": (set_to("index", 1), "negative, or stands twice"),
    "count": (with_field("plans", 5), "it has no plans"),
    "no count": (with_field("plans", "5"), "it has no plans"),
    "digest": (with_field("digest", "0" * 64), "not those of its digest"),
    "no digest": (with_field("digest", None), "lacks fields"),
    "no subjects": (with_field("subjects", None), "subjects are not known"),
    "subjects in words": (with_field("subjects", "many"), "no number"),
    "samples": (
        lambda header, arrays: header["sources"][0].update(samples="all"),
        ".",
    ),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_a_file_whose_hashes_fit_is_refused_where_it_contradicts_itself(path, what):
    change, said = CONTRADICTIONS[what]
    write(path, source_of("binary"))
    contradict(path, change)
    with pytest.raises(PlanFileError, match=rf"plans\.npz.*{said}"):
        read_drawn_images(path)


def test_a_file_that_is_gone_or_foreign_is_named(path):
    with pytest.raises(PlanFileError, match=r"no file .*plans\.npz"):
        read_drawn_images(path)
    np.savez(path, header=np.zeros(3))
    with pytest.raises(PlanFileError, match=r"plans\.npz is not a whole file of plans"):
        read_drawn_images(path)
    write(path, source_of("ordinal"))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays.pop("header").tobytes())
    header.pop("sha256")
    with path.open("wb") as file:
        write_arrays(file, header, arrays)
    with pytest.raises(DamageError, match="its content hash is gone"):
        read_drawn_images(path)
    assert issubclass(DamageError, Exception)
    assert not issubclass(PlanFileError, InputError)
