"""The progress bar: counts, speed and time left, on a terminal only."""

from __future__ import annotations

import io

import torch
from rich.console import Console

import torchcross as tx
from torchcross._kit.progress import ProgressBars
from torchcross.data import toys
from torchcross.evaluation import ProgressBar, evaluate


def guess(support, task):
    return lambda images: torch.zeros(len(images), task.target.num_outputs)


def episodes():
    made = tx.Episodes(tx.EpisodeSampler(toys.binary(60, size=8), shots=1, queries=2, seed=0))
    return [made[number] for number in range(3)]


def test_the_bar_shows_what_speed_and_how_far():
    screen = Console(file=io.StringIO(), force_terminal=True, width=140)
    with ProgressBar(3, "oct/[b]disease[/b], guess", wanted=True, console=screen) as bar:
        rows = list(evaluate(guess, episodes(), run="r", algorithm="guess", progress=bar))
    shown = screen.file.getvalue()
    assert len({row.episode for row in rows}) == 3
    for words in ("oct/[b]disease[/b], guess", "3/3", "episodes/s"):
        assert words in shown


def test_a_long_name_leaves_room_on_a_narrow_terminal():
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    name = "a dataset with a long name/and its task, mm-maml, 5-shot, seed 0"
    with ProgressBar(100, name, wanted=True, console=screen) as bar:
        for done in range(1, 101):
            bar(done)
    shown = screen.file.getvalue()
    for words in ("a dataset with a long nam…", "100/100", "episodes/s"):
        assert words in shown
    assert shown.count("\n") == 1


def test_it_is_quiet_where_stderr_is_no_terminal(capsys):
    with ProgressBar(3, "oct") as bar:
        list(evaluate(guess, episodes(), run="r", algorithm="guess", progress=bar))
    with ProgressBar(3, "oct", wanted=False) as bar:
        bar(2)
    assert capsys.readouterr() == ("", "")


def test_a_note_and_a_number_of_items_for_each_step_are_shown():
    screen = Console(file=io.StringIO(), force_terminal=True, width=140)
    bar = ProgressBar(
        4, "training", unit="batches", items_per_step=3, start=1, wanted=True, console=screen
    )
    with bar:
        for done in (2, 3, 4):
            bar(done, note=f"loss {1 / done}")
    shown = screen.file.getvalue()
    for words in ("training", "4/4", "batches/s", "loss 0.25"):
        assert words in shown


def test_a_pipe_gets_one_line_for_each_bar_at_the_end():
    pipe = Console(file=io.StringIO(), width=100)
    with ProgressBars(wanted=True, console=pipe) as bars:
        for done in range(4):
            bars("oct", done, 3)
            bars("derm", done, 9)
        assert pipe.file.getvalue() == ""
    lines = pipe.file.getvalue().splitlines()
    assert [line.split()[0] for line in lines if line] == ["oct", "derm"]
    assert "3/3" in lines[0]
    assert "3/9" in lines[1]


def test_lines_stand_below_a_bar_and_replace_each_other():
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    with ProgressBar(3, "oct", wanted=True, transient=False, console=screen) as bar:
        bar.show_lines(["score-a", "and 200 more"])
        bar.show_lines(["score-b on \x1b[31mhost"])
        bar(2)
    last = screen.file.getvalue().rpartition("2/3")[2]
    assert "score-b on \\x1b[31mhost" in last
    assert "score-a" not in last


def test_the_speed_of_a_bar_that_is_done_is_that_of_the_whole():
    clock = [0.0]
    screen = Console(file=io.StringIO(), force_terminal=True, width=140, get_time=lambda: clock[0])
    with ProgressBars(wanted=True, console=screen) as bars:
        for clock[0], done in ((0.0, 0), (1.0, 90), (10.0, 100)):
            bars("eyes", done, 100)
    assert "10 images/s" in screen.file.getvalue()
