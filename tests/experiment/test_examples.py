"""Example episodes as files: what is written is read again, large images are thinned, and nothing
else is believed.
"""

import json
import math

import numpy as np
import pytest

from torchcross.errors import DamageError, InputError, WriteError
from torchcross.experiment.run.examples import read_example, write_example
from torchcross.report import Example, Picture


def picture(number, side=8, channels=0, **told):
    shape = (side, side, channels) if channels else (side, side)
    pixels = np.arange(np.prod(shape), dtype=np.uint32).reshape(shape) * 7 + number
    return Picture(pixels.astype(np.uint8), f"class {number}", **told)


def example(**more):
    return Example(
        target="oct/disease class",
        algorithm="mm-maml",
        shots=5,
        episode=3,
        metric="auroc",
        score=0.75,
        support=tuple(picture(number, **more) for number in range(3)),
        query=tuple(
            picture(number, predicted=f"class {number % 2}", confidence=0.5, belief=0.25, **more)
            for number in (3, 4)
        ),
    )


def plain(one):
    parts = [
        (p.pixels.tolist(), p.truth, p.predicted, p.confidence, p.belief)
        for p in (*one.support, *one.query)
    ]
    return (
        one.target,
        one.algorithm,
        one.shots,
        one.episode,
        one.metric,
        one.score,
        len(one.support),
        parts,
    )


@pytest.mark.parametrize("channels", [0, 3])
def test_what_is_written_is_read_again(channels, tmp_path):
    made = example(channels=channels)
    write_example(tmp_path / "one.npz", made)
    assert plain(read_example(tmp_path / "one.npz")) == plain(made)
    assert [path.name for path in tmp_path.iterdir()] == ["one.npz"]


def test_a_score_that_is_undefined_stays_so(tmp_path):
    made = Example(**{**vars(example()), "score": math.nan, "shots": None})
    write_example(tmp_path / "one.npz", made)
    found = read_example(tmp_path / "one.npz")
    assert math.isnan(found.score)
    assert found.shots is None


@pytest.mark.parametrize(("side", "kept"), [(112, 112), (113, 57), (224, 112), (500, 100)])
def test_large_images_are_thinned_out(side, kept, tmp_path):
    made = example(side=side)
    write_example(tmp_path / "one.npz", made)
    found = read_example(tmp_path / "one.npz")
    step = -(-side // 112)
    for before, after in zip(
        (*made.support, *made.query), (*found.support, *found.query), strict=True
    ):
        assert after.pixels.shape == (kept, kept)
        np.testing.assert_array_equal(after.pixels, before.pixels[::step, ::step])


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WriteError, match=r"one\.npz cannot be written"):
        write_example(tmp_path / "absent" / "one.npz", example())
    with pytest.raises(InputError, match=r"absent\.npz is not an example of a run"):
        read_example(tmp_path / "absent.npz")


@pytest.mark.parametrize("length", [0, 1, 3, 30, 200, -1, -30])
def test_a_torn_file_is_named(length, tmp_path):
    path = tmp_path / "one.npz"
    write_example(path, example())
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"one\.npz is not an example of a run"):
        read_example(path)


def test_a_byte_that_is_wrong_is_named_or_harmless(tmp_path):
    path = tmp_path / "one.npz"
    write_example(path, example())
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        spoilt = bytearray(whole)
        spoilt[place] ^= 0xFF
        path.write_bytes(bytes(spoilt))
        try:
            read_example(path)
        except (InputError, DamageError) as error:
            assert str(path) in str(error)  # noqa: PT017


def rewritten(path, change):
    with np.load(path) as file:
        told, pixels = json.loads(bytes(file["told"])), file["pixels"]
    for name in ("sha256", "sha256 of the pixels"):
        del told[name]
    told, pixels = change(told, pixels)
    text = np.frombuffer(
        told if isinstance(told, bytes) else json.dumps(told).encode(), dtype=np.uint8
    )
    np.savez_compressed(path, told=text, pixels=pixels)


@pytest.mark.parametrize(
    "change",
    [
        lambda told, pixels: ([], pixels),
        lambda told, pixels: (b"{", pixels),
        lambda told, pixels: (b"\xff\xfe", pixels),
        lambda told, pixels: (b"[" * 100_000, pixels),
        lambda told, pixels: ({**told, "pictures": 3}, pixels),
        lambda told, pixels: ({**told, "pictures": told["pictures"][:-1]}, pixels),
        lambda told, pixels: (
            {**told, "pictures": [[*words, 1, 2] for words in told["pictures"]]},
            pixels,
        ),
        lambda told, pixels: ({**told, "support": "three"}, pixels),
        lambda told, pixels: ({**told, "support": None}, pixels),
        lambda told, pixels: (
            {key: value for key, value in told.items() if key != "score"},
            pixels,
        ),
        lambda told, pixels: (told, pixels.astype(np.float32)),
        lambda told, pixels: (told, pixels[:, 0]),
        lambda told, pixels: (told, np.uint8(3)),
    ],
)
def test_a_file_of_something_else_is_named(change, tmp_path):
    path = tmp_path / "one.npz"
    write_example(path, example())
    rewritten(path, change)
    with pytest.raises(InputError, match=r"one\.npz is not an example of a run"):
        read_example(path)


def test_no_pickle_is_loaded(tmp_path):
    path = tmp_path / "one.npz"
    np.savez(path, told=np.array([{"a": 1}], dtype=object), pixels=np.zeros(3))
    with pytest.raises(InputError, match="not an example of a run"):
        read_example(path)


def test_many_pictures_are_thinned_until_they_fit(tmp_path, monkeypatch):
    monkeypatch.setattr("torchcross.experiment.run.examples._LARGEST_PIXELS", 5 * 8 * 8 - 1)
    made = example()
    write_example(tmp_path / "one.npz", made)
    again = read_example(tmp_path / "one.npz")
    assert again.support[0].pixels.tolist() == made.support[0].pixels[::2, ::2].tolist()
