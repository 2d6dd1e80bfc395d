"""The table at the end of a run: drawn in a terminal, Markdown in a pipe."""

import io
import re

import pytest

from torchcross.cli.terminal_table import write_table

MARKDOWN = r"""| domain | target: AUROC (%) | image-statistics, 1 shot | pt, 1 shot | pt, 5 shots |
| --- | --- | ---: | ---: | ---: |
| OCT | oct\_a/class \| x | 49.1 ± 3.7† (finds 10.9) | **56.8** ± 5.2° | — |
| Skin | derm/disease | 51.1 ± 2.7 | 61.8 ± 5.0 | **74.1** ± 5.2 |
|  | mean of the targets | 50.1 | 58.2 | 74.1 |

Mean ± half the interval. \*: a sign.
"""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, width, markdown=MARKDOWN):
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    write_table(markdown)
    return screen.getvalue()


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_pipe_gets_the_markdown(capsys):
    write_table(MARKDOWN)
    assert capsys.readouterr().out == f"{MARKDOWN}\n"


def test_a_terminal_gets_a_table_for_each_number_of_shots(monkeypatch):
    text = plain(shown(monkeypatch, 100))
    assert "**" not in text
    assert "\\" not in text
    one, five = re.split(r"(?m)^5 shots: ", text)
    assert one.startswith("1 shot: AUROC (%)")
    assert re.findall(r"image-|statistics", one) == ["image-", "statistics"]
    assert re.search(r"oct_a/class \| x +49\.1 ± 3\.7† +56\.8 ± 5\.2°", one)
    assert re.search(r"OCT +\(finds 10\.9\)", one)
    assert re.search(r"mean of the targets +50\.1 +58\.2", one)
    assert re.search(r"oct_a/class \| x +—", five)
    assert five.rstrip().endswith("Mean ± half the interval. *: a sign.")


def test_the_best_of_a_row_is_bold(monkeypatch):
    assert re.search(r"\x1b\[1m56\.8 ± 5\.2°", shown(monkeypatch, 100))


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_number_is_cut_and_no_line_is_too_long(monkeypatch, width):
    text = plain(shown(monkeypatch, width))
    assert max(map(len, text.splitlines())) <= width
    for number in ("49.1 ± 3.7†", "56.8 ± 5.2°", "61.8 ± 5.0", "74.1 ± 5.2"):
        assert number in text
    assert ("continued" in text) == (width == 40)


def test_one_number_of_shots_and_no_domains_need_no_heading(monkeypatch):
    table = "| target | a |\n| --- | ---: |\n| x/y | 1.5 |\n\nMeans.\n"
    text = plain(shown(monkeypatch, 80, table))
    assert re.search(r"x/y +1\.5", text)
    assert "shots" not in text
