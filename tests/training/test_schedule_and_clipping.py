"""The learning rate follows its schedule, and clipping shortens long gradients."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from tests.training.subjects import bits, distance, fitted, options, protonet
from torchcross.training import FitOptions, read_log
from torchcross.training.schedule import learning_rate


@max_examples(18)
@given(steps=st.integers(2, 60), warmup=st.integers(0, 20), end=st.sampled_from([0.0, 1e-4]))
def test_the_schedule_is_warm_up_and_torchs_cosine(steps, warmup, end):
    chosen = FitOptions(steps=steps + warmup, warmup=warmup, schedule="cosine", lr=0.1, lr_end=end)
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps, eta_min=end)
    for step in range(1, warmup + 1):
        assert math.isclose(learning_rate(chosen, step), 0.1 * step / warmup)
    for step in range(steps):
        assert math.isclose(
            learning_rate(chosen, warmup + 1 + step),
            cosine.get_last_lr()[0],
            rel_tol=1e-9,
            abs_tol=1e-12,
        )
        optimiser.step()
        cosine.step()


def test_the_linear_schedule_ends_before_its_last_value() -> None:
    # As the outer step of Reptile: of 4 steps the first has the whole rate, and none has lr_end.
    chosen = FitOptions(steps=6, warmup=2, schedule="linear", lr=1.0, lr_end=0.2)
    rates = [learning_rate(chosen, step) for step in range(1, 7)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.8, 0.6, 0.4])


def test_the_schedule_is_the_optimisers(tmp_path):
    fitted(folder=tmp_path, warmup=2, schedule="cosine")
    chosen = options(warmup=2, schedule="cosine")
    assert [row[2] for row in read_log(tmp_path)] == [
        learning_rate(chosen, step) for step in range(1, 7)
    ]
    # A step is as long as the learning rate says.
    short, _ = fitted(steps=1, lr=0.001, optimiser="sgd")
    long, _ = fitted(steps=1, lr=0.004, optimiser="sgd")
    start = bits(protonet())
    assert distance(bits(long), start) == pytest.approx(4 * distance(bits(short), start), rel=1e-3)


def test_clipping_shortens_long_gradients_only(tmp_path):
    def moved(**given):
        algorithm, _ = fitted(steps=1, optimiser="sgd", lr=1.0, **given)
        start = bits(protonet())
        return math.sqrt(
            sum(
                float(((value - start[name]) ** 2).sum()) for name, value in bits(algorithm).items()
            )
        )

    norm = moved(folder=tmp_path)
    assert read_log(tmp_path)[0][3] == pytest.approx(norm, rel=1e-4)
    assert moved(clip=norm / 3) == pytest.approx(norm / 3, rel=1e-4)
    assert moved(clip=norm * 3) == pytest.approx(norm, rel=1e-4)
