"""Saying something may fail, and only that."""

import io
import os

import pytest

from torchcross._kit.lost_readers import QuietStream, say_quietly, write_line
from torchcross._kit.progress import ProgressBar
from torchcross.errors import InputError


class Failing(io.StringIO):
    def write(self, text):
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("make", [Failing, lambda: closed(io.StringIO()), lambda: None])
def test_a_line_that_nobody_reads_is_no_error(make):
    write_line(make(), "one")


def closed(stream):
    stream.close()
    return stream


def test_a_line_is_written_at_once(tmp_path):
    with (tmp_path / "log").open("w") as log:
        write_line(log, "one")
        assert (tmp_path / "log").read_text() == "one\n"


def test_other_errors_of_a_callback_are_raised():
    def say(line):
        raise InputError("a mistake of the caller")

    with pytest.raises(InputError, match="a mistake of the caller"):
        say_quietly(say)("one")
    say_quietly(lambda line: os.write(-1, b"x"))("one")


def test_a_bar_on_a_stream_that_fails_moves_on(monkeypatch):
    stream = Failing()
    monkeypatch.setattr("sys.stderr", stream)
    with ProgressBar(3, "work", wanted=True) as bar:
        bar(1)
        bar(3)
    monkeypatch.setattr("sys.stderr", None)
    with ProgressBar(3, "work", wanted=True) as bar:
        bar(3)
    assert not QuietStream(closed(io.StringIO())).isatty()
