"""`torchcross run`, `report` and `compare`: of runs, and of a published table of means."""

from __future__ import annotations

import io
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import refused, run
from tests.experiment.small import prepare
from tests.records.published_table import NAMES, ROWS
from tests.report.run_folder import made_run
from torchcross import cli
from torchcross.cli.experiment_flags import value_of_text

ROOT = Path(__file__).parents[2]


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "table 4.csv"
    lines = [
        ",".join(["target", *NAMES]),
        *(f"t{i}," + ",".join(map(str, row)) for i, row in enumerate(ROWS)),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_published_table_has_its_page_and_tables(capsys, published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(
        capsys,
        "report",
        published,
        "--metric",
        "auroc",
        "--related",
        "t1, t2",
        "--related",
        "t3,t4",
    )
    assert (status, err) == (0, "")
    assert out == "reports/table 4/report.html\n"
    folder = tmp_path / "reports" / "table 4"
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "report.html",
        "table.csv",
        "table.md",
        "table.tex",
    ]
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in (
        "28.14",
        "t1, t2 share subjects",
        "t3, t4 share subjects",
        "no mean has an interval",
        "table 4.csv",
    ):
        assert words in page
    assert "target: AUROC" in (folder / "table.md").read_text(encoding="utf-8")
    assert run(capsys, "report", folder / "table.csv", "--out", tmp_path / "again")[0] == 0
    assert (tmp_path / "again" / "table.tex").read_text() == (
        folder / "table.tex"
    ).read_text().replace("AUROC", "")


@pytest.mark.slow
def test_what_is_no_table_and_no_run_is_told(capsys, published, tmp_path):
    assert "is no run" in refused(capsys, "report", tmp_path / "none")
    assert "cannot be read" in refused(capsys, "report", tmp_path / "none.csv")
    assert "['t77'] are not in" in refused(
        capsys, "report", published, "--related", "t1,t77", "--out", tmp_path / "o"
    )
    assert not (tmp_path / "o").exists()
    folder = made_run(tmp_path / "run")
    assert "describes a table of means" in refused(capsys, "report", folder, "--related", "a,b")
    run(capsys, "report", folder)
    assert "a table that a report wrote" in refused(capsys, "report", folder / "table.csv")


def test_a_run_has_its_page_again_here_or_elsewhere(capsys, tmp_path):
    folder = made_run(tmp_path / "run", metric="accuracy")
    assert run(capsys, "report", folder)[:2] == (0, f"{folder / 'report.html'}\n")
    assert run(capsys, "report", folder, "--out", tmp_path / "other", "--title", "Mine")[0] == 0
    assert "<h1>Mine</h1>" in (tmp_path / "other" / "report.html").read_text(encoding="utf-8")
    for name in ("table.md", "table.tex", "table.csv"):
        assert (tmp_path / "other" / name).read_text() == (folder / name).read_text()
        assert "accuracy" in (folder / name).read_text(), (
            "the metric of the experiment leads the tables too"
        )


def test_another_metric_may_lead(capsys, tmp_path):
    folder = made_run(tmp_path / "run", metric="auroc")
    assert (
        run(capsys, "report", folder, "--metric", "accuracy", "--out", tmp_path / "other")[0] == 0
    )
    assert "target: accuracy" in (tmp_path / "other" / "table.md").read_text()
    assert "there are " in refused(capsys, "report", folder, "--metric", "acuracy")
    both = (folder, made_run(tmp_path / "second", metric="auroc"))
    assert run(capsys, "compare", *both, "--metric", "accuracy", "--out", tmp_path / "both")[0] == 0
    assert "accuracy" in (tmp_path / "both" / "table.csv").read_text()
    assert "there are " in refused(
        capsys, "compare", *both, "--metric", "acuracy", "--out", tmp_path / "none"
    )


def test_a_run_that_failed_as_a_whole_has_its_page(capsys, tmp_path):
    failure = {
        "kind": "ReadError",
        "target": "oct/t",
        "algorithm": "scratch",
        "seed": "0",
        "reason": "the disk is gone",
    }
    folder = made_run(tmp_path / "run", rows=False, failures=[failure])
    assert run(capsys, "report", folder)[0] == 0
    assert "the disk is gone" in (folder / "report.html").read_text(encoding="utf-8")
    assert not (folder / "table.md").exists()
    assert "has no rows yet" in refused(capsys, "report", made_run(tmp_path / "empty", rows=False))


def test_runs_are_compared_with_what_failed_and_what_is_related(capsys, tmp_path):
    failure = {
        "kind": "ReadError",
        "target": "x/t",
        "algorithm": "scratch",
        "seed": "0",
        "reason": "the disk is gone",
    }
    first = made_run(tmp_path / "first", metric="accuracy")
    second = made_run(
        tmp_path / "second", metric="accuracy", failures=[failure], **{"evaluation.disjoint": True}
    )
    status, out, _ = run(capsys, "compare", first, second, "--out", tmp_path / "both")
    assert (status, out) == (0, f"{tmp_path / 'both' / 'report.html'}\n")
    page = (tmp_path / "both" / "report.html").read_text(encoding="utf-8")
    for words in (
        *(
            "accuracy (%) by target",
            "derm/t, oct/t share subjects",
            "the disk is gone",
            "scratch (second)",
        ),
        *(
            "episodes of a target (first)",
            "episodes of a target (second)",
            "2 of 2 datasets are made up",
        ),
    ):
        assert words in page
    assert "training seeds (first)" not in page, "what both chose is said once"
    assert "accuracy" in (tmp_path / "both" / "table.csv").read_text(encoding="utf-8")


# -- running ---------------------------------------------------------------------------------------


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.chdir(prepare(tmp_path, ("oct", "derm")))
    return [
        *(
            "run",
            "--data",
            "data",
            "--preset",
            "quick",
            "--algorithms",
            "scratch",
            "--targets",
            "oct",
            "--shots",
            "1",
        ),
        *(
            "--quiet",
            "--jobs",
            "1",
            "--set",
            "model.backbone.channels=2",
            "--set",
            "evaluation.steps=1",
        ),
        *("--set", "evaluation.min_images=10", "--set", "evaluation.queries=2"),
    ]


@pytest.mark.long
def test_flags_alone_have_a_folder_of_their_own_and_go_on_there(capsys, job, tmp_path):
    def folder(*more):
        status, out, err = run(capsys, *job, *more)
        assert (status, err) == (0, "")
        return out.splitlines()[-1]

    first = folder("--episodes", "2")
    assert first.startswith("runs/quick-")
    assert len(first.split("/")[1]) == len("quick-") + 8
    assert "AUROC" in (tmp_path / first).with_name("table.md").read_text()
    assert folder("--episodes", "2", "--set", "evaluation.metric=accuracy") == first, (
        "it shows the same rows"
    )
    assert "accuracy" in (tmp_path / first).with_name("table.md").read_text()
    assert folder("--episodes", "3") != first


def test_settings_are_listed_and_nothing_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, "run", "--settings")
    assert (status, err) == (0, "")
    assert "meta.clip = 0.0\n    the largest norm of the gradient" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--set", "evaluation.steps.foo=2"), "evaluation.steps"),
        (("--set", "evaluation.metric=auc"), "evaluation.metric='auc'"),
        (("--set", "meta.shots=[5,1]"), "meta.shots"),
        (("--set", "model.backbone.channels=2020-01-01"), "model.backbone"),
        (("--device", "cuda:77"), "machine.device='cuda:77'"),
        (("--weights", "none.pth"), "none.pth"),
        (("--weights", "data"), "cannot be read"),
        (("--backbone", "resnet19"), "resnet19"),
        (("--data", "small.toml"), "small.toml"),
        (("--data", "none"), "none"),
        (("--format", "none"), "none"),
        (("--out", "small.toml/run"), "small.toml"),
        (("--shots", "1,x"), "--shots got 'x'"),
    ],
)
def test_nothing_shows_a_traceback(capsys, job, tmp_path, more, said):
    err = refused(capsys, *job, *more)
    assert err.startswith("torchcross: error: ")
    assert said in err
    assert "\n" not in err[:-1]
    assert not (tmp_path / "runs").exists(), "it was said before anything ran"


# -- those who listen ------------------------------------------------------------------------------


def in_a_shell(folder, line, **environment):
    command = f"{shlex.quote(sys.executable)} -m torchcross"
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line.replace('torchcross', command)}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "", **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.long
@pytest.mark.parametrize("arguments", ["--version", "run --help", "run --settings"])
def test_output_that_nobody_reads_is_no_error(tmp_path, arguments):
    ended = in_a_shell(tmp_path, f"torchcross {arguments} | true")
    assert (ended.returncode, ended.stderr) == (141, "")


@pytest.mark.long
def test_output_that_cannot_be_written_is_told(tmp_path):
    ended = in_a_shell(tmp_path, "torchcross run --settings > /dev/full")
    assert ended.returncode == 2
    assert ended.stderr.startswith("torchcross: error: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.long
def test_a_terminal_without_a_character_gets_its_code(tmp_path):
    folder = made_run(tmp_path / "run")
    ended = in_a_shell(
        tmp_path, f"torchcross report {folder} --title ± --out ±", PYTHONIOENCODING="ascii"
    )
    assert (ended.returncode, ended.stdout) == (0, "\\xb1/report.html\n")


def test_who_stops_listening_does_not_stop_a_run(capsys, job, monkeypatch):
    class Deaf(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    job.remove("--quiet")
    monkeypatch.setattr("sys.stderr", Deaf())
    assert run(capsys, *job, "--episodes", "2")[0] == 0


def test_a_run_that_is_terminated_says_how_it_goes_on(capsys, monkeypatch):
    def ended(code):
        def run(*_, **__):
            raise SystemExit(code)

        monkeypatch.setattr("torchcross.experiment.run_experiment", run)
        with pytest.raises(SystemExit) as raised:
            cli.main(["run", "--data", "data"])
        return raised.value.code, capsys.readouterr().err

    usual = "torchcross: terminated by {}; run the same command again to go on\n"
    assert ended(143) == (143, usual.format("SIGTERM"))
    if hasattr(signal, "SIGUSR1"):
        number = 128 + signal.SIGUSR1
        assert ended(number) == (number, usual.format("SIGUSR1"))
    assert ended(0) == (0, "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (".9", 0.9),
        ("1.", 1.0),
        ("3", 3),
        ("1e-3", 1e-3),
        ("f1", "f1"),
        ("[1, 5]", [1, 5]),
        ("a.b", "a.b"),
        ("", ""),
    ],
)
def test_values_as_people_write_them(text, value):
    found = value_of_text(text)
    assert (found, type(found)) == (value, type(value))
