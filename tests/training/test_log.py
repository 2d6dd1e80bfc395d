"""The log, and the bar on the terminal."""

import math

import pytest

from tests.training.subjects import Scores, batches, multi_task, options, protonet, sampler
from torchcross.errors import ReadError
from torchcross.training import FitResult, Point, fit, read_log
from torchcross.training.log import COLUMNS


def run(folder, **given):
    return fit(protonet(), sampler(), options(**given), folder=folder)


def test_a_log_is_read_back(tmp_path):
    scores = Scores(0.1, math.nan, 1 / 3)
    fit(protonet(), sampler(), options(validate_every=2), folder=tmp_path, validate=scores)
    rows = read_log(tmp_path)
    assert read_log(tmp_path / "log.csv")[:2] == rows[:2]
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row[4] for row in rows][::2] == [None] * 3
    assert rows[1][4] == 0.1
    assert rows[5][4] == 1 / 3
    assert math.isnan(rows[3][4])
    assert (tmp_path / "log.csv").read_text().splitlines()[0] == ",".join(COLUMNS)


def test_equal_runs_have_equal_logs(tmp_path):
    for name in ("left", "right"):
        run(tmp_path / name)
    assert (tmp_path / "left" / "log.csv").read_bytes() == (
        tmp_path / "right" / "log.csv"
    ).read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a log of training"),
        ("a,b\n1,2\n", "is not a log of training"),
        (",".join(COLUMNS) + "\n1,0.5,0.1\n", "line 2: '1,0.5,0.1' is not a row"),
        (",".join(COLUMNS) + "\n1,0.5,0.1,2.0,\n2,x,0.1,2.0,\n", "line 3: "),
    ],
)
def test_a_spoilt_log_is_refused_by_line(tmp_path, text, said):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(ReadError, match=said):
        read_log(tmp_path)
    with pytest.raises(ReadError, match="cannot be read"):
        read_log(tmp_path / "nothing")


# -- the bar ---------------------------------------------------------------------------------------


def test_the_bar_shows_loss_score_and_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    scores = iter((math.nan, 0.75))
    settings = options(steps=4, validate_every=2)
    fit(multi_task(), batches(), settings, validate=lambda _: next(scores), progress=True)
    shown = capsys.readouterr().err
    for words in ("training", "4/4", "loss ", "score 0.75"):
        assert words in shown


def test_the_bar_goes_to_stderr_and_is_off_where_that_is_no_terminal(capsys):
    fit(multi_task(), batches(), options(steps=2))
    assert capsys.readouterr() == ("", "")
    fit(multi_task(), batches(), options(steps=2), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/2" in err
    assert "batches/s" in err


# -- notebooks -------------------------------------------------------------------------------------


def test_a_result_shows_its_curve():
    points = (Point(5, 0.51234, 0.7), Point(10, 0.25, math.nan))
    shown = FitResult(10, 5, 0.7, "patience", points, None)._repr_html_()
    assert "10 steps, stopped by patience, best 0.7 at step 5, last loss 0.25" in shown
    # One score is no curve: the other is NaN.
    assert shown.count("<polyline") == 1
    assert "loss: 0.25 to 0.5123" in shown
    bare = FitResult(2, None, None, "steps", (Point(2, 0.5, None),), None)
    assert bare._repr_html_() == "<p>2 steps, stopped by steps, not validated, last loss 0.5</p>"
    assert repr(bare) == "FitResult(2 steps, stopped by steps, not validated, last loss 0.5)"
