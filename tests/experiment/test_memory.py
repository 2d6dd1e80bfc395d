"""Memory does not grow with the number of episodes: they come one at a time, and only their rows
stay.
"""

import gc
import tracemalloc
import weakref

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.data import Episodes
from torchcross.experiment import run_experiment

pytestmark = pytest.mark.slow

FEW, MANY = 20, 400


@pytest.fixture
def alive(monkeypatch):
    """How many episodes' images were alive whenever one was read."""
    counts, living = [], set()
    plain = Episodes.__getitem__

    def counted(episodes, index):
        episode = plain(episodes, index)
        for images in (episode.support.x, episode.query.x):
            living.add(id(images))
            weakref.finalize(images, living.discard, id(images))
        counts.append(len(living))
        return episode

    monkeypatch.setattr(Episodes, "__getitem__", counted)
    return counts


def run(folder, episodes, **more):
    settings = {
        "algorithms": ["ncm"],
        "shots": [1],
        "data.targets": ["hole"],
        "evaluation.episodes": episodes,
    }
    outcome = run_experiment(toy_experiment(**settings, **more), folder)
    assert outcome.complete
    return outcome.records


@pytest.mark.long
@pytest.mark.usefixtures("collection")
@pytest.mark.parametrize("disjoint", [False, True])
def test_images_of_episodes_are_let_go(alive, tmp_path, disjoint):
    settings = {"evaluation.disjoint": disjoint, "evaluation.features": "none"}
    peaks = []
    gc.disable()
    try:
        for episodes in (FEW, 2 * FEW):
            alive.clear()
            run(tmp_path / str(episodes), episodes, **settings)
            assert len(alive) == episodes
            peaks.append(max(alive))
    finally:
        gc.enable()
    # The one that is shown on the page, the one that is scored, and the next.
    assert peaks[0] == peaks[1] <= 6


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_features_of_episodes_are_let_go_too(alive, tmp_path):
    # 64 episodes of stored features are solved at once, of a support and a query each.
    # Those before them go when the next ones are there.
    run(tmp_path / "run", MANY)
    assert 2 * 64 <= max(alive) <= 4 * 64 + 6 < 2 * MANY


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_nothing_but_rows_grows(tmp_path):
    run(tmp_path / "warm", 2)
    peaks, rows = [], []
    for episodes in (FEW, MANY):
        tracemalloc.start()
        try:
            rows.append(len(run(tmp_path / str(episodes), episodes)))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    # A row as an object and its cells in a table: about 700 bytes.
    assert (peaks[1] - peaks[0]) / (rows[1] - rows[0]) < 1500
