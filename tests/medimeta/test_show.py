"""Pictures of datasets: every task type, what is drawn where, the same for the same seed, and names
of any length.
"""

import numpy as np
import pytest
from PIL import Image

from medimeta_adapter.format.dataset import MedIMetaDataset
from medimeta_adapter.show import grid, overview
from tests.medimeta.audit_folders import Folder
from torchcross.errors import InputError

TILE, GAP, LEFT = 40, 6, 24 + 210 + 6
TASKS = ("sick", "what it is", "signs", "grade")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module", params=[1, 3], ids=["grey", "colour"])
def dataset(request, root):
    folder = Folder(root, f"eyes{request.param}", channels=request.param)
    # An image says its row: no two have one colour.
    if request.param == 1:
        folder.images[:] = (np.arange(90, dtype=np.uint8) * 2)[:, None, None]
    else:
        folder.images[:] = np.stack([np.arange(90) * 2, np.arange(90), np.full(90, 9)], axis=1)[
            :, None, None, :
        ]
    return MedIMetaDataset(folder.write().path)


def drawn(picture, columns):
    """The rows of the dataset that stand in each line of the picture, read back from their
    colours.
    """
    pixels = np.asarray(picture)
    lines, y = [], 0
    while y + TILE <= pixels.shape[0]:
        tiles = [
            pixels[y : y + TILE, LEFT + at * (TILE + GAP) :][:, :TILE] for at in range(columns)
        ]
        flat = [
            tile
            for tile in tiles
            if tile.size and (tile == tile[0, 0]).all() and tile[0, 0].tolist() != [255] * 3
        ]
        if flat:
            lines.append([int(tile[0, 0, 0]) // 2 for tile in flat])
            y += TILE
        else:
            y += 1
    return lines


@pytest.mark.parametrize("task", TASKS)
def test_a_row_holds_images_of_its_class(dataset, task):
    picture = grid(dataset, task, per_class=3, tile=TILE)
    lines = drawn(picture, 3)
    labels = dataset.labels(task)
    info = dataset.info.task(task)
    assert len(lines) == info.num_labels
    for line, (place, value) in zip(lines, enumerate(info.labels), strict=True):
        assert len(set(line)) == 3
        having = labels[line][:, place] if labels.ndim == 2 else labels[line] == value
        assert having.all()


def test_the_seed_chooses_and_the_primary_task_is_shown(dataset):
    first = grid(dataset, per_class=3, tile=TILE)
    assert first.tobytes() == grid(dataset, "sick", per_class=3, tile=TILE).tobytes()
    other = grid(dataset, per_class=3, tile=TILE, seed=1)
    assert other.size == first.size
    assert drawn(other, 3) != drawn(first, 3)


def test_few_images_and_none(root):
    folder = Folder(root, "few")
    folder.labels["what it is"][:] = 0
    folder.labels["what it is"][5] = 1
    folder.images[:] = (np.arange(90, dtype=np.uint8) * 2)[:, None, None]
    dataset = MedIMetaDataset(folder.write().path)
    picture = grid(dataset, "what it is", per_class=4, tile=TILE)
    lines = drawn(picture, 4)
    assert [len(line) for line in lines] == [4, 1]
    assert lines[1] == [5]
    full = grid(dataset, "grade", per_class=4, tile=TILE)
    assert picture.size == full.size


def test_text_is_written_beside_every_row(dataset):
    picture = np.asarray(grid(dataset, "grade", per_class=2, tile=TILE).convert("L"))
    ink = (picture[:, 24 : 24 + 200] < 128).any(axis=1)
    blocks = int((np.diff(ink.astype(int)) == 1).sum())
    assert blocks >= 2 + 3
    assert picture[0].min() == 255


def test_more_classes_than_are_shown(dataset):
    all_of_them = grid(dataset, "what it is", per_class=2, tile=TILE)
    two = grid(dataset, "what it is", per_class=2, tile=TILE, most_classes=2)
    assert len(drawn(two, 2)) == 2
    assert two.height < all_of_them.height


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["x" * 190, "many words " * 20, "\u4e2d\u6587 \u0639\u0631\u0628\u064a", "a\tb", "[b]<i>&amp;"],
)
def test_names_of_any_kind(root, name):
    folder = Folder(root, f"named{len(name)}{ord(name[1])}", size=8)
    folder.info["tasks"][0]["labels"] = {0: name, 1: f"not {name}"}
    folder.info["name"] = folder.info["domain"] = name
    dataset = MedIMetaDataset(folder.write().path)
    plain = grid(dataset, "grade", per_class=6, tile=TILE)
    picture = grid(dataset, per_class=6, tile=TILE)
    assert picture.width == plain.width
    assert (np.asarray(picture)[:, -20:] == 255).all()


@pytest.mark.parametrize("size", [(1, 8), (64, 8), (300, 200)])
def test_images_of_any_shape_are_shown_whole(root, size):
    folder = Folder(root, f"shape{size[0]}", size=8)
    folder.images = np.full((90, *size), 50, dtype=np.uint8)
    folder.images[:, 0, 0] = 60
    folder.info["input_size"] = [1, *size]
    dataset = MedIMetaDataset(folder.write().path)
    picture = np.asarray(grid(dataset, per_class=1, tile=TILE).convert("L"))
    dark = (picture[:, LEFT : LEFT + TILE] > 40) & (picture[:, LEFT : LEFT + TILE] < 61)
    scale = TILE / max(size)
    assert dark.sum() == pytest.approx(
        2 * max(1, round(size[0] * scale)) * max(1, round(size[1] * scale)), rel=0.1
    )


def test_an_overview_has_a_row_per_dataset_with_several_classes(dataset, root):
    picture = overview([dataset, dataset], per_dataset=4, tile=TILE)
    lines = drawn(picture, 4)
    assert len(lines) == 2
    assert lines[0] == lines[1]
    assert dataset.labels()[lines[0]].tolist() == [0, 1, 0, 1]
    assert len(set(lines[0])) == 4


def test_an_overview_shows_no_image_twice_where_labels_share_them(root):
    folder = Folder(root, "shared")
    folder.info["tasks"] = [folder.info["tasks"][2]]
    folder.images[:] = (np.arange(90, dtype=np.uint8) * 2)[:, None, None]
    folder.labels["signs"][:] = 0
    folder.labels["signs"][[3, 4, 5]] = 1
    dataset = MedIMetaDataset(folder.write().path)
    (line,) = drawn(overview([dataset], per_dataset=8, tile=TILE), 8)
    assert sorted(line) == [3, 4, 5]


def test_what_cannot_be_shown(dataset):
    with pytest.raises(InputError, match="no task"):
        grid(dataset, "sik")
    with pytest.raises(InputError, match="per_class=0 is not an integer of at least 1"):
        grid(dataset, per_class=0)
    with pytest.raises(InputError, match="tile=2000 is not an integer from 1 to 512"):
        grid(dataset, tile=2000)
    with pytest.raises(InputError, match="no dataset to show"):
        overview([])
    with pytest.raises(InputError, match="ask for fewer images"):
        grid(dataset, per_class=10_000, tile=512)


@pytest.mark.parametrize(("per_class", "tile"), [(10**9, 512), (400, 512), (10**8, 1)])
def test_a_page_that_is_too_large_is_refused_before_any_image_is_read(
    dataset, monkeypatch, per_class, tile
):
    def read(*_, **__):
        pytest.fail("it was read")

    monkeypatch.setattr(MedIMetaDataset, "images", read)
    if per_class > 400:  # one row alone is too much: labels are not needed to see that
        monkeypatch.setattr(MedIMetaDataset, "labels", read)
    with pytest.raises(
        InputError, match=r"the picture would have \d+ x \d+ pixels; ask for fewer images"
    ):
        grid(dataset, per_class=per_class, tile=tile)
    with pytest.raises(
        InputError, match=r"the picture would have \d+ x \d+ pixels; ask for fewer images"
    ):
        overview([dataset] * 2, per_dataset=per_class, tile=tile)


def test_images_are_read_one_at_a_time(dataset, monkeypatch):
    counts = []
    images = MedIMetaDataset.images
    monkeypatch.setattr(
        MedIMetaDataset, "images", lambda *a, **k: counts.append(len(a[1])) or images(*a, **k)
    )
    grid(dataset, "sick", per_class=5, tile=TILE)
    assert counts == [1] * 10


def test_a_picture_can_be_saved(dataset, tmp_path):
    grid(dataset, per_class=2, tile=TILE).save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode == "RGB"
