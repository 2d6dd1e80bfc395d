"""A training or an episode that fails is told, the rest goes on, and after the repair only what is
missing is done.
"""

import pytest

from tests.experiment.failures.failing_runs import TARGETS, check, failures, goes_on, gone, mend
from torchcross.experiment.run import targets, workbench

pytestmark = pytest.mark.slow


@pytest.mark.long
def test_a_training_that_diverges(root, clean, run):
    absurd = ("--set", "pretraining.lr=1e38")
    for _ in range(2):
        status, err = run(*absurd, algorithms="mm-pt,protonet,ncm")
        check(root, clean, [("mm-pt", target) for target in TARGETS], status, err, "Lower lr")


@pytest.mark.long
def test_fine_tuning_that_always_diverges_is_a_failure_and_no_empty_row(root, clean, run):
    status, err = run(
        "--set", "evaluation.lr=1e38", "--set", "evaluation.steps=3", algorithms="scratch,ncm"
    )
    check(
        root,
        clean,
        [("scratch", target) for target in TARGETS],
        status,
        err,
        "none of 2 episodes has a score",
    )


@pytest.mark.long
def test_images_that_are_not_finite(root, clean, run, monkeypatch):
    def spoilt(collection, target, *, split="all"):
        source = plain(collection, target, split=split)
        if target == TARGETS[1]:
            read = source.read
            source.read = lambda indices: read(indices).float() * float("nan")
        return source

    kind = type(targets.open_collection("medimeta", root / "data", channels=1))
    plain = kind.target
    monkeypatch.setattr(kind, "target", spoilt)
    status, err = run()
    failed = [("protonet", TARGETS[1]), ("ncm", TARGETS[1])]
    check(root, clean, failed, status, err, "NaN or infinite pixels")
    monkeypatch.undo()
    goes_on(root, clean, run)


@pytest.mark.long
def test_an_error_that_nobody_foresaw_says_where_it_comes_from(root, clean, run, monkeypatch):
    plain = workbench.adapter

    def adapter(method, *rest):
        return {"protonet": plain}[method.name](method, *rest)

    monkeypatch.setattr(workbench, "adapter", adapter)
    status, err = run()
    failed = [("ncm", target) for target in TARGETS]
    check(root, clean, failed, status, err, "KeyError: 'ncm' (in adapter, test_failures.py:")
    monkeypatch.undo()
    goes_on(root, clean, run)


@pytest.mark.long
def test_where_everything_fails_the_page_says_why(root, clean, run):
    for name in ("oct", "bus"):
        gone(root / "data" / name)
    status, err = run()
    assert status == 1
    assert len(failures(root)) == 4
    assert err.count("no images") >= 4
    assert (root / "run" / "report.html").read_text(encoding="utf-8").count("no images") >= 4
    for name in ("oct", "bus"):
        mend(root, clean, name)
    goes_on(root, clean, run)


@pytest.mark.long
def test_failures_of_before_stand_until_their_cells_are_done(root, clean, run, monkeypatch):
    """A run that is stopped early has not forgotten them."""
    gone(root / "data" / "bus")
    assert run()[0] == 1
    before = failures(root)
    plain, calls = workbench.adapter, []

    def stopped(*given):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(*given)

    monkeypatch.setattr(workbench, "adapter", stopped)
    mend(root, clean, "bus")
    assert run()[0] == 130
    # Of the cell that was stopped in its middle, too: it is not done.
    assert failures(root) == before
    assert len(before) == 3
    monkeypatch.undo()
    goes_on(root, clean, run)
