"""Two published studies, computed again from their tables."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transfer.published import (
    cats_scans,
    expert_distances,
    medmnist,
    read_rows,
    task2vec_distances,
)
from torchcross.errors import InputError
from torchcross.transfer.rankings import judge_scores
from torchcross.transfer.source_target import SourceTargetTable

MEANS = [
    *(7.511349, 2.812889, 5.147023, 2.192079, 0.772957, -1.163857, 3.172221, -0.303246),
    *(-3.444657, 3.056970, 2.277288, 0.853813, 0, -4.768914, -7.442713, 3.608304, 0),
    *(-11.141029, 5.391567, 0.188689, 0, 3.512154, -1.117007, -2.424962),
]
# (distances, self-pairs, Pearson, its p, Spearman, its p, tau-b, pairs)
CORRELATIONS = [
    (expert_distances, True, 0.238080, 0.2626, 0.291303, 0.1673, 0.184775, 24),
    (task2vec_distances, True, -0.108839, 0.6127, 0.013519, 0.9500, -0.018520, 24),
    (expert_distances, False, 0.292053, 0.1989, 0.227937, None, None, 21),
    (task2vec_distances, False, -0.172552, 0.4545, -0.104750, None, None, 21),
]


def test_transferability_against_the_self_pair() -> None:
    table = cats_scans().transferability("self")
    means = [100 * table[row["source"], row["target"]] for row in read_rows("cats_scans.csv")]
    assert means == pytest.approx(MEANS, abs=1e-5)
    assert set(table.missing) == {
        ("pcam-small", "pcam-middle"),
        ("kimia", "isic"),
        ("kimia", "chest"),
    }


@pytest.mark.parametrize(
    ("distances", "self_pairs", "r", "r_p", "rho", "rho_p", "tau", "pairs"), CORRELATIONS
)
def test_correlations_over_pairs(distances, self_pairs, r, r_p, rho, rho_p, tau, pairs) -> None:
    pearson, spearman, kendall, _ = cats_scans().correlate(
        distances(), baseline="self", self_pairs=self_pairs
    )
    assert pearson.value == pytest.approx(r, abs=2e-6)
    assert pearson.p == pytest.approx(r_p, abs=6e-5)
    assert spearman.value == pytest.approx(rho, abs=2e-6)
    assert (pearson.kind, spearman.kind, kendall.kind) == ("pearson", "spearman", "kendall")
    assert rho_p is None or spearman.p == pytest.approx(rho_p, abs=6e-5)
    assert tau is None or kendall.value == pytest.approx(tau, abs=2e-6)
    assert {pearson.n, spearman.n, kendall.n} == {pairs}
    assert str(pearson).endswith(f"{pairs} pairs {'with' if self_pairs else 'without'} self-pairs")


def test_correlations_of_ratios_of_means() -> None:
    options = {"baseline": "self", "self_pairs": True, "over": "means"}
    experts = cats_scans().correlate(expert_distances(), **options)[0]
    task2vec = cats_scans().correlate(task2vec_distances(), **options)[0]
    assert experts.value == pytest.approx(0.237849, abs=2e-6)
    assert task2vec.value == pytest.approx(-0.109170, abs=2e-6)


def test_correlations_without_imagenet() -> None:
    results = cats_scans()
    table = results.transferability("self").without_self_pairs()
    sources = [source for source in results.sources if source != "imagenet"]
    from torchcross.transfer.rankings import correlations

    fewer = table.restrict(sources)
    experts = correlations(fewer, expert_distances())
    task2vec = correlations(fewer, task2vec_distances())
    assert [item.value for item in experts[:2]] == pytest.approx([0.222777, 0.166438], abs=2e-6)
    assert [item.value for item in task2vec[:2]] == pytest.approx([-0.078934, 0.060982], abs=2e-6)


def test_correlations_within_targets_turn_the_finding_round() -> None:
    experts = cats_scans().correlate(expert_distances(), baseline="self")[3]
    task2vec = cats_scans().correlate(task2vec_distances(), baseline="self")[3]
    assert experts.value == pytest.approx(0.225786, abs=2e-6)
    assert experts.p == pytest.approx(0.35, abs=0.005)
    assert experts.permutation_p == pytest.approx(0.36, abs=0.015)
    assert task2vec.value == pytest.approx(-0.460809, abs=2e-6)
    assert task2vec.p == pytest.approx(0.047, abs=0.0005)
    assert task2vec.permutation_p == pytest.approx(0.083, abs=0.01)


def test_weighted_tau_of_three_targets() -> None:
    values = cats_scans().matrix()
    scores = {
        "experts": expert_distances().negative(),
        "Task2Vec": task2vec_distances().negative(),
    }
    judgement = judge_scores(scores, values, permutations=0)
    experts = judgement.row("experts").means["weighted tau"]
    task2vec = judgement.row("Task2Vec").means["weighted tau"]
    assert (experts.mean, experts.half) == pytest.approx((-0.250, 1.148), abs=6e-4)
    assert (task2vec.mean, task2vec.half) == pytest.approx((0.262, 0.815), abs=6e-4)
    assert "3 targets carry no inference" in judgement.warnings[0]


def test_logme_does_not_beat_the_static_rule_on_medical_images() -> None:
    values, logme = medmnist("auc"), medmnist("logme")
    judgement = judge_scores({"LogME": logme}, values, largest="imagenet", permutations=200)
    taus = {
        ranking.target: ranking.measures["weighted tau"].value
        for ranking in judgement.row("LogME").targets
    }
    assert np.isnan(taus.pop("chest"))
    assert list(taus.values()) == pytest.approx(
        [
            *(0.107977, 0.219782, 0.519961, 0.259121, 0.255447, 0.467316),
            *(0.120056, 0.505637, 0.311260, 0.346317, 0.581414),
        ],
        abs=1e-6,
    )
    scored = [name for name in values.targets if name != "chest"]

    def mean(row: str, measure: str) -> float:
        rankings = judgement.row(row).targets
        return np.mean([r.measures[measure].value for r in rankings if r.target in scored])

    assert mean("LogME", "weighted tau") == pytest.approx(0.335845, abs=1e-6)
    assert mean("static", "weighted tau") == pytest.approx(0.546643, abs=1e-6)
    assert mean("LogME", "regret@1") == pytest.approx(0.00661, abs=1e-5)
    assert mean("always imagenet", "regret@1") == pytest.approx(0.00523, abs=1e-5)
    assert mean("random", "regret@1") == pytest.approx(0.03670, abs=1e-5)
    assert judgement.answer.startswith("No score beats the static rule")
    assert "'chest'" in judgement.warnings[0]
    low, high = judgement.row("LogME").without_one_target
    assert low < 0.335845 < high
    assert judgement.row("LogME").against_static.difference.mean < 0


def test_a_baseline_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no baseline is called 'scratch'"):
        cats_scans().transferability()
    results = cats_scans()
    assert results.transferability("imagenet", measure="difference")["imagenet", "isic"] == 0


def test_a_perfect_score_beats_the_static_rule() -> None:
    values = medmnist("auc")
    answer = judge_scores({"oracle": values, "noise": medmnist("logme")}, values).answer
    assert answer.startswith("oracle beats the static rule")


def test_tables_refuse_what_they_cannot_hold() -> None:
    with pytest.raises(InputError, match=r"'a'\] twice"):
        SourceTargetTable(["a", "a"], ["t"], [[1], [2]])
    with pytest.raises(InputError, match=r"need \(1, 2\)"):
        SourceTargetTable(["a"], ["t", "u"], [[1]])
    with pytest.raises(InputError, match="NaN where there is no number"):
        SourceTargetTable(["a"], ["t"], [[np.inf]])
    with pytest.raises(InputError, match="did you mean 'isic'"):
        _ = expert_distances()["imagenet", "isci"]
