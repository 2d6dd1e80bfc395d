"""Tables of means: what `read_means` accepts, and what it refuses."""

from __future__ import annotations

import csv
import math
import time

import pytest

from torchcross.errors import InputError, ReadError
from torchcross.records import Means, read_means
from torchcross.report import csv_table


def test_a_column_of_domains_is_read_and_an_empty_one_is_that_above(tmp_path):
    path = tmp_path / "published.csv"
    path.write_text(
        "Domain,dataset,a,b\nx-ray,cxr,1,2\n,rsna,3,4\n,,,\noct,oct,5,6\n", encoding="utf-8"
    )
    found = read_means(path)
    assert (found.domains, found.targets) == (("x-ray", "x-ray", "oct"), ("cxr", "rsna", "oct"))
    assert found.values.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert Means([[1, 2]], ["a", "b"]).domains == ("",)
    with pytest.raises(InputError, match="got 2 domains"):
        Means([[1, 2]], ["a", "b"], domains=["x", "y"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("target,a,b\nt,1,2\nAverage,1,2\n", "csv:3 is called 'Average'"),
        ("domain,target,a\nd,t,1\n,mean,1\n", "csv:3 is called 'mean'"),
        ("target\nt\n", "no column of means"),
        ("domain,target\nd,t\n", "no column of means"),
        ('domain,target,metric,"a, 5 shots: mean"\n', "a table that a report wrote"),
        ("", "no column of means"),
        ("target,a,b\nt,1\n", "csv:2 has 2 cells"),
        ("target,a,b\nt,1,x\n", "csv:2 holds 'x'"),
        ("target,a,b\nt,1,inf\n", "csv:2 holds 'inf'"),
        ("target,a,b\n", "no row of means"),
        ("target,a,a\nt,1,2\n", "stand twice"),
        ("target,a,b\nt,1,2\nt,1,2\n", "stand twice"),
    ],
)
def test_a_table_that_cannot_be_read(tmp_path, text, said):
    path = tmp_path / "published.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((ReadError, InputError), match=said):
        read_means(path)
    with pytest.raises(ReadError, match="cannot be read"):
        read_means(tmp_path / "none.csv")


def test_tables_that_do_not_fit_their_names():
    with pytest.raises(InputError, match="one column per algorithm"):
        Means([[1, 2]], ["a"])
    with pytest.raises(InputError, match="got 2 targets"):
        Means([[1, 2]], ["a", "b"], ["s", "t"])
    with pytest.raises(InputError, match="finite"):
        Means([[1, math.inf]], ["a", "b"])


def test_many_rows_and_columns_take_no_longer_than_they_are_long(tmp_path):
    path = tmp_path / "means.csv"
    path.write_text("target,a\n" + "".join(f"t{row},.5\n" for row in range(20_000)))
    start = time.process_time()
    assert len(read_means(path).targets) == 20_000
    names = ",".join(f"a{column}" for column in range(20_000))
    path.write_text(f"target,{names}\nt{',.5' * 20_000}\n")
    assert len(read_means(path).algorithms) == 20_000
    assert time.process_time() - start < 3


def test_names_of_our_own_tables_come_back(tmp_path):
    names = ("=HYPERLINK(1)", "+a", "-b", "@c", "'=d", "'e", "f")
    table = Means([[0.5] * 7], names, ["-target"], domains=["=domain"])
    text = csv_table(table)
    assert not any(cell[:1] in "=+-@" for row in csv.reader(text.splitlines()) for cell in row)
    (tmp_path / "means.csv").write_text(text)
    again = read_means(tmp_path / "means.csv")
    assert (again.algorithms, again.targets, again.domains) == (names, ("-target",), ("=domain",))
