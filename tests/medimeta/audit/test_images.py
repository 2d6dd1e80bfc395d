"""Every kind of finding about pixels: provoked, reported at its place, and nothing else."""

import numpy as np
import pytest
from PIL import Image

from medimeta_adapter.audit import Severity, check
from medimeta_adapter.audit import scan as scan_module
from medimeta_adapter.audit.perceptual_hash import Fingerprints
from medimeta_adapter.audit.scan import scan
from medimeta_adapter.audit.tiffs import SAMPLED
from tests.medimeta.audit_folders import Folder, kinds, only_finding
from torchcross._kit.arrays import evenly_spaced


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def any_channels(request, tmp_path):
    return Folder(tmp_path, channels=request.param)


def test_images_of_one_colour(tmp_path, any_channels):
    any_channels.images[[3, 8]] = 7
    any_channels.images[9].flat[:-1] = 7
    any_channels.write()
    report = check(tmp_path)
    assert kinds(report) == ["image-constant"]
    assert only_finding(report, "image-constant").examples == ("3", "8")


def test_equal_images_within_a_split(tmp_path, any_channels):
    any_channels.images[2] = any_channels.images[0]
    any_channels.write()
    report = check(tmp_path)
    assert kinds(report) == ["duplicate-within-split"]
    assert only_finding(report, "duplicate-within-split").examples == ("0 (train) = 2 (train)",)


def test_equal_images_across_splits_and_with_other_labels(tmp_path, folder):
    folder.images[89] = folder.images[60] = folder.images[3]
    folder.write()
    report = check(tmp_path)
    assert only_finding(report, "duplicate-across-splits").examples == (
        "3 (train) = 60 (val) = 89 (test)",
    )
    differ = [
        finding.field for finding in report.findings if finding.code == "duplicate-other-label"
    ]
    assert differ == ["grade"] or set(differ) <= set(folder.labels)
    assert set(kinds(report)) == {"duplicate-across-splits", "duplicate-other-label"}
    assert all(finding.severity is Severity.WARNING for finding in report.findings)


def test_equal_images_with_equal_labels(tmp_path, folder):
    folder.images[1] = folder.images[0]
    folder.write()
    assert kinds(check(tmp_path)) == ["duplicate-within-split"]


@pytest.mark.parametrize(
    ("listed", "severity"), [([], Severity.WARNING), (["eyes"], Severity.NOTE)]
)
def test_equal_images_in_two_datasets(tmp_path, folder, listed, severity):
    other = Folder(tmp_path, "lids")
    other.images[4] = folder.images[70]
    folder.info["subject_overlaps"] = ["lids"] if listed else []
    other.info["subject_overlaps"] = listed
    folder.write(), other.write()
    report = check(tmp_path)
    assert kinds(report) == ["duplicate-across-datasets"]
    found = only_finding(report, "duplicate-across-datasets")
    assert (found.severity, found.field, found.examples) == (
        severity,
        "lids",
        ("eyes: 70 (val) = lids: 4 (train)",),
    )


def soft(draw, size=32):
    """An image with a structure that survives noise."""
    small = Image.fromarray(draw.integers(0, 256, (7, 7), dtype=np.uint8))
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))


def test_images_that_are_merely_alike(tmp_path):
    folder, draw = Folder(tmp_path, size=32), np.random.default_rng(3)
    folder.images[:] = [soft(draw) for _ in range(90)]
    brighter = np.clip(folder.images[10] * 0.9 + 20, 0, 255).astype(np.uint8)
    folder.images[11] = brighter
    folder.images[88] = np.clip(folder.images[40] + draw.normal(0, 2, (32, 32)), 0, 255).astype(
        np.uint8
    )
    folder.write()
    report = check(tmp_path)
    assert kinds(report) == ["near-duplicate-across-splits", "near-duplicate-within-split"]
    assert only_finding(report, "near-duplicate-within-split").severity is Severity.NOTE
    assert only_finding(report, "near-duplicate-within-split").examples == (
        "10 (train) = 11 (train)",
    )
    assert only_finding(report, "near-duplicate-across-splits").examples == (
        "40 (train) = 88 (test)",
    )
    assert kinds(check(tmp_path, near_duplicates=False)) == []
    assert kinds(check(tmp_path, pixels=False)) == []


def test_an_equal_image_is_not_reported_again_as_similar(tmp_path):
    folder, draw = Folder(tmp_path, size=32), np.random.default_rng(3)
    folder.images[:] = [soft(draw) for _ in range(90)]
    folder.images[2] = folder.images[0]
    folder.write()
    assert kinds(check(tmp_path)) == ["duplicate-within-split"]


# -- files -----------------------------------------------------------------------------------------


def test_tiffs_that_show_something_else(tmp_path, folder):
    folder.write(tiffs=True)
    row = int(evenly_spaced(90, SAMPLED)[5])
    wrong = folder.images[row].copy()
    wrong[0, 0] ^= 1
    Image.fromarray(wrong).save(folder.path / "images" / f"{row:06d}.tiff")
    report = check(tmp_path)
    assert kinds(report) == ["tiff-differs"]
    assert only_finding(report, "tiff-differs").severity is Severity.ERROR
    assert only_finding(report, "tiff-differs").examples == (f"{row:06d}.tiff: 1 of 256 values",)


def test_tiffs_that_are_damaged_or_of_another_shape(tmp_path, folder):
    folder.write(tiffs=True)
    rows = evenly_spaced(90, SAMPLED)[:4].tolist()
    paths = [folder.path / "images" / f"{row:06d}.tiff" for row in rows]
    paths[0].write_bytes(b"no image")
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    Image.fromarray(np.zeros((9, 9), dtype=np.uint8)).save(paths[2])
    Image.fromarray(np.zeros((16, 16, 3), dtype=np.uint8)).save(paths[3])
    report = check(tmp_path)
    assert kinds(report) == ["tiff-differs"]
    assert only_finding(report, "tiff-differs").count == 4


def test_tiffs_missing_and_beyond(tmp_path, folder):
    folder.write(tiffs=True)
    (folder.path / "images" / "000007.tiff").rename(folder.path / "images" / "000090.tiff")
    report = check(tmp_path)
    assert kinds(report) == ["tiff-missing", "tiff-surplus"]
    assert only_finding(report, "tiff-missing").examples == ("7",)


def test_only_tiffs(tmp_path, folder):
    folder.write(tiffs=True)
    (folder.path / "images.hdf5").unlink()
    folder.images[0] = 3
    assert kinds(check(tmp_path)) == ["hdf5-missing"]
    Image.fromarray(folder.images[0]).save(folder.path / "images" / "000000.tiff")
    assert kinds(check(tmp_path)) == ["hdf5-missing", "image-constant"]


@pytest.mark.parametrize("content", [b"", b"no hdf5 at all", None])
def test_pixels_that_cannot_be_opened(tmp_path, folder, content):
    folder.write()
    Folder(tmp_path, "lids").write()
    path = folder.path / "images.hdf5"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    for pixels in (True, False):
        report = check(tmp_path, pixels=pixels)
        assert kinds(report) == ["images-unreadable"]
        assert [entry.id for entry in report.datasets] == ["eyes", "lids"]


def test_a_file_that_is_cut_off(tmp_path, folder):
    folder.write()
    path = folder.path / "images.hdf5"
    path.write_bytes(path.read_bytes()[:-500])
    assert kinds(check(tmp_path)) == ["images-unreadable"]


def test_a_shape_that_info_contradicts(tmp_path, folder):
    folder.info["input_size"] = [1, 16, 15]
    folder.write()
    assert kinds(check(tmp_path)) == ["images-unreadable"]


def test_a_chunk_that_is_damaged_leaves_the_rest_to_be_read(tmp_path, folder, monkeypatch):
    folder.images[80] = 0
    folder.write(chunks=(10, 16, 16))
    monkeypatch.setattr(scan_module, "_BLOCK_BYTES", 10 * 256)

    def broken(self, indices):
        if 20 in indices:
            raise OSError("chunk 2 is damaged")
        return self.__class__.__bases__[0].rows(self, indices)

    monkeypatch.setattr("medimeta_adapter.format.pixels.ChunkedPixels.rows", broken, raising=False)
    report = check(tmp_path)
    assert kinds(report) == ["image-constant", "images-unreadable"]
    found = only_finding(report, "images-unreadable")
    assert (found.count, found.examples) == (10, ("rows 20..29: chunk 2 is damaged",))


# -- the scan --------------------------------------------------------------------------------------


class Pixels:
    def __init__(self, images):
        self.images, self.largest = images, 0

    def rows(self, indices):
        self.largest = max(self.largest, len(indices))
        return self.images[indices]


def test_a_scan_is_the_same_in_any_blocks_and_with_any_number_of_workers(monkeypatch):
    pixels = Pixels(np.random.default_rng(0).integers(0, 256, (57, 12, 9, 3), dtype=np.uint8))
    once = scan(pixels, 57, 12 * 9 * 3)
    monkeypatch.setattr(scan_module, "_BLOCK_BYTES", 5 * 12 * 9 * 3)
    pixels.largest, done = 0, []
    again = scan(pixels, 57, 12 * 9 * 3, workers=3, progress=done.append)
    assert (again.digests == once.digests).all()
    assert (again.fingerprints.hashes == once.fingerprints.hashes).all()
    assert (again.fingerprints.sketches == once.fingerprints.sketches).all()
    assert pixels.largest == 5
    assert done == [*range(5, 57, 5), 57]


def test_digests_tell_shapes_apart_and_fingerprints_are_computed_only_if_wanted():
    flat = np.arange(24, dtype=np.uint8)
    wide = scan(Pixels(flat.reshape(1, 4, 6)), 1, 24, with_fingerprints=False)
    tall = scan(Pixels(flat.reshape(1, 6, 4)), 1, 24, with_fingerprints=False)
    assert (wide.digests != tall.digests).any()
    assert len(wide.fingerprints.hashes) == len(Fingerprints.zeros(0).hashes) == 0


def test_progress_is_told_by_dataset(tmp_path, folder):
    folder.write()
    told_of = []
    check(tmp_path, progress=lambda *what: told_of.append(what))
    assert told_of[0] == ("eyes", 90, 90)
    assert told_of[1:] == [("near duplicates", done, 70) for done in range(1, 71)]
