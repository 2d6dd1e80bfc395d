"""How numbers are written, and what a legend says of their intervals and tests."""

from __future__ import annotations

import re
from math import nan
from pathlib import Path

import numpy as np
import pytest

from tests.report.reading import page_of
from tests.statistics.drawn import overlapping_draws, scores_by_images
from torchcross.records import EpisodeRecord, Records
from torchcross.report import markdown_table
from torchcross.report.numbers import notation_of, p_text
from torchcross.statistics import bounds_of, mean_interval
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.9995, "1"),
        (0.99949, "0.999"),
        (0.96, "0.960"),
        (0.05, "0.050"),
        (0.001, "0.001"),
        (0.00099, "9.9e-04"),
        (0.0, "0.0e+00"),
        (nan, "—"),
    ],
)
def test_a_p_value_is_rounded_to_one_only_where_three_digits_are(value: float, text: str) -> None:
    assert p_text(value) == text


@pytest.mark.parametrize("kind", [Binary, MultiClass, MultiLabel, Ordinal])
def test_every_metric_has_a_name_in_words_and_fractions_a_percent_sign(kind) -> None:
    for metric in kind.metrics:
        title = notation_of(metric).title
        assert "_" not in title
        assert title.endswith("(%)") == (bounds_of(metric) is not None)


def test_the_legend_says_how_narrow_intervals_over_episodes_would_be() -> None:
    rng = np.random.default_rng(2)
    draws = overlapping_draws(rng, episodes=60, images=30, drawn=10)
    values = scores_by_images(rng, draws, 0.7)
    rows = Records.of(
        EpisodeRecord("run", "d/t", "d", "only", 5, 0, episode, "auroc", value)
        for episode, value in enumerate(values)
    )
    wide, narrow = mean_interval(values, draws=draws), mean_interval(values)
    text = markdown_table(rows, draws={("only", "d/t", 5): draws})
    (percentage,) = re.findall(r"would have (\d+) % of its width", text)
    assert int(percentage) == round(100 * narrow.half / wide.half) < 50


def rows_of(scores: dict[tuple[str, str, int], np.ndarray]) -> Records:
    return Records.of(
        EpisodeRecord("run", target, "d", algorithm, shots, 0, episode, "auroc", value)
        for (algorithm, target, shots), values in scores.items()
        for episode, value in enumerate(values)
    )


def test_a_legend_says_which_method_is_of_which_target() -> None:
    rng = np.random.default_rng(3)
    plain = overlapping_draws(rng, episodes=40, images=20, drawn=6)
    of_subjects = overlapping_draws(rng, episodes=40, images=24, drawn=6, images_of_subject=4)
    draws = {"d/a": plain, "d/b": of_subjects, "d/c": plain}
    scores = {("only", name, 5): scores_by_images(rng, own, 0.5) for name, own in draws.items()}
    text = markdown_table(rows_of(scores), draws={key: draws[key[1]] for key in scores})
    assert (
        "interval (of d/a and d/c: a model with an effect of each image, since episodes share"
        " images; of d/b: a model with an effect of each subject, since episodes share subjects)."
        in text
    )
    alike = {key: values for key, values in scores.items() if key[1] != "d/b"}
    text = markdown_table(rows_of(alike), draws=dict.fromkeys(alike, plain))
    assert "interval (a model with an effect of each image, since episodes share images)." in text


def test_a_legend_says_at_which_shots_intervals_are_over_episodes() -> None:
    rng = np.random.default_rng(6)
    draws = overlapping_draws(rng, episodes=40, images=20, drawn=6)
    one, five = ("only", "d/a", 1), ("only", "d/a", 5)
    scores = {one: scores_by_images(rng, draws, 0.5), five: rng.normal(0.7, 0.05, 40)}
    text = markdown_table(rows_of(scores), draws={one: draws})
    assert (
        "interval (at 1 shot: a model with an effect of each image, since episodes share images;"
        " at 5 shots: Student's t over episodes)." in text
    )
    assert "Of d/a at 5 shots they are over episodes of these images, and say nothing" in text


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([2, 2], "over the one pair of algorithms of its row and shots."),
        ([4, 4], "over the 6 pairs of algorithms of its row and shots."),
        ([5, 2], "over the 10 pairs of algorithms of its row and shots (1 where 2 of them have"),
        ([5, 2, 4], "shots (1 where 2 of them have scores and 6 where 4 of them have scores)."),
    ],
)
def test_a_legend_says_how_many_pairs_are_corrected_together(counts: list[int], words: str) -> None:
    rng = np.random.default_rng(4)
    scores = {
        (f"row {place}", f"d/{number}", 5): rng.normal(0.7, 0.05, 12)
        for number, count in enumerate(counts)
        for place in range(count)
    }
    assert words in markdown_table(rows_of(scores))


def test_a_remark_stands_once_with_its_places(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    places = [("d/a", 1), ("d/a", 5), ("d/b", 1), ("d/b", 5), ("d/c", 5)]
    scores = {("trained", *place): rng.normal(0.7, 0.05, 12) for place in places}
    scores |= {("fixed", *place): np.full(12, 0.6) for place in places[:-1]}
    page = page_of(tmp_path, rows_of(scores), untrained=["fixed"])
    fold = page.by_id("missing").all("details")[-1]
    assert fold.all("summary")[0].text == f"Remarks on the comparisons: {len(fold.all('li'))}"
    texts = [item.text for item in fold.all("li")]
    (fixed,) = (text for text in texts if text.startswith("fixed: all 12 values are equal"))
    assert fixed.endswith("(d/a, d/b at 1 shot and 5 shots)")
    assert not any("at shots" in text for text in texts)
    # What holds of a row wherever it is stands with the answer, and needs no places.
    caveats = [item.text for item in page.by_id("answer").all("li")]
    assert "fixed: nothing was trained: one seed is all there is." in caveats
    assert "trained: training variance was not measured: there is one training seed." in caveats
    assert not any("trained" in text for text in texts)
