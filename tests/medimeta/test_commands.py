"""`torchcross data ...` and `torchcross weights ...`, run as a user runs them: what they print,
write and return.
"""

import io
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from PIL import Image

from medimeta_adapter import audit
from tests.command_line import run
from tests.medimeta.audit_folders import Folder
from tests.medimeta.command_cases import PROGRAM, ROOT, refused
from torchcross import cli

# -- finding the command ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "names"), [("data", ["check", "convert"]), ("weights", ["list", "fetch"])]
)
def test_help_lists_the_commands(capsys, group, names):
    status, out, err = run(capsys, group, "--help")
    assert (status, err) == (0, "")
    assert all(f"  {name} " in out for name in names)
    assert run(capsys, group) == (2, "", out)


EVERY = [
    *(("data", name) for name in ("info", "check", "show", "synth", "catalog")),
    *(
        ("data", "convert", name)
        for name in ("imagefolder", "arrays", "csv", "medmnist", "huggingface")
    ),
    *(("data", "fetch", name) for name in ("medimeta", "open")),
    *(("weights", name) for name in ("list", "fetch")),
]


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_every_command_explains_itself_and_refuses_what_it_does_not_know(capsys, command):
    status, out, err = run(capsys, *command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: torchcross {' '.join(command)}")
    assert f"see torchcross {' '.join(command)} --help" in refused(
        capsys, *command, "--nothing-like-it", "1"
    )


def test_the_lists_of_commands_are_whole():
    from medimeta_adapter.commands import _DATA, _WEIGHTS, convert, fetch

    groups = {"convert": convert.GROUP, "fetch": fetch.GROUP}
    listed = {("data", name) for name in _DATA.commands.keys() - groups.keys()}
    for group, commands in groups.items():
        listed |= {("data", group, name) for name in commands.commands}
    listed |= {("weights", name) for name in _WEIGHTS.commands}
    assert listed == set(EVERY)


def test_unknown_names_get_a_guess(capsys):
    assert refused(capsys, "data", "chekc").startswith(
        "no command of torchcross data is called 'chekc'; did you mean 'check'? There are 'info', "
    )
    assert "there are 'imagefolder', 'arrays', " in refused(capsys, "data", "convert", "zzz")
    assert "did you mean 'fetch'?" in refused(capsys, "weights", "fetsch")
    assert "did you mean 'medimeta'?" in refused(capsys, "data", "fetch", "medimata")


# -- check -----------------------------------------------------------------------------------------


def test_check_of_a_clean_folder(capsys, data):
    status, out, err = run(capsys, "data", "check", data)
    assert (status, err) == (0, "")
    assert "No problems were found." in out
    assert out.endswith("2 datasets, 8 tasks, 180 images: 0 errors, 0 warnings, 0 notes\n")


def test_check_fails_on_errors_and_on_what_is_asked(capsys, data):
    (data / "eyes" / "splits" / "val.txt").unlink()
    assert run(capsys, "data", "check", data)[0] == 1
    assert run(capsys, "data", "check", data, "--fail-on", "never")[0] == 0
    other = Folder(data, "eyes")
    other.images[3] = 0
    other.write()
    status, out, _ = run(capsys, "data", "check", data)
    assert status == 0
    assert "warning  eyes / images.hdf5: images of one colour [1]\n" in out
    assert run(capsys, "data", "check", data, "--fail-on", "warning")[0] == 1
    assert run(capsys, "data", "check", data, "--fail-on", "warning", "--no-pixels")[0] == 0


def test_check_as_json(capsys, data):
    status, out, err = run(
        capsys, "data", "check", data, "--json", "--shots", "40", "--workers", "2"
    )
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["schema_version"] == 1
    assert {finding["code"] for finding in found["findings"]} == {"class-scarce"}


def test_options_of_check_reach_it(capsys, data, monkeypatch):
    given = {}
    real = audit.check
    monkeypatch.setattr(
        audit, "check", lambda folder, **options: given.update(options) or real(folder, **options)
    )
    options = [
        "--no-near-duplicates",
        "--shots",
        "3",
        "--queries",
        "7",
        "--workers",
        "1",
        "--follow-links",
    ]
    assert run(capsys, "data", "check", data / "eyes", *options)[0] == 0
    assert callable(given.pop("progress"))
    assert given == {
        "pixels": True,
        "near_duplicates": False,
        "shots": 3,
        "queries": 7,
        "workers": 1,
        "follow_links": True,
    }


def test_check_of_nothing_is_refused(capsys, tmp_path):
    assert "holds no dataset" in refused(capsys, "data", "check", tmp_path)
    assert "invalid choice: 'bad'" in refused(capsys, "data", "check", tmp_path, "--fail-on", "bad")


def test_progress_shows_on_a_terminal_only(capsys, data, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert cli.main(["data", "check", str(data)]) == 0
    assert "eyes" in terminal.getvalue()
    assert "90/90" in terminal.getvalue()
    assert "eyes" in capsys.readouterr().out


# -- info, catalog, show ---------------------------------------------------------------------------


def test_info(capsys, data):
    status, out, err = run(capsys, "data", "info", data)
    assert (status, err) == (0, "")
    assert out.endswith("2 datasets, 8 tasks, 2 domains, 180 images\n")
    assert "what it is  multiclass" in out
    found = json.loads(run(capsys, "data", "info", data, "--json")[1])
    assert [entry["id"] for entry in found] == ["eyes", "lids"]
    assert found[0]["tasks"][3]["labels"] == [[1, "mild"], [4, "some"], [8, "much"]]


@pytest.mark.parametrize("width", [70, 120])
def test_info_breaks_no_word_in_a_terminal(capsys, data, monkeypatch, width):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    status, out, _ = run(capsys, "data", "info", data)
    out = re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert status == 0
    assert {"eyes", "lids", "multiclass", "multilabel", "images"} <= set(out.split())
    assert max(map(len, out.splitlines())) <= width


def test_info_of_one_datasets_folder(capsys, data):
    status, out, err = run(capsys, "data", "info", data / "eyes")
    assert (status, err) == (0, "")
    assert out.endswith("1 dataset, 4 tasks, 1 domain, 90 images\n")
    assert [
        entry["id"] for entry in json.loads(run(capsys, "data", "info", data / "eyes", "--json")[1])
    ] == ["eyes"]
    assert "is a dataset itself; give its parent" in refused(
        capsys, "data", "info", data / "eyes", "--lodo", "eyes"
    )


def test_info_leaves_one_out(capsys, data):
    other = Folder(data, "ears", domain="Ears")
    other.info["domain_overlaps"] = ["eyes"]
    other.write()
    status, out, err = run(capsys, "data", "info", data, "--lodo", "eyes", "--all-tasks", "--why")
    assert status == 0
    assert out.startswith("target: eyes/sick\nsources: 4\n  lids/sick\n  lids/what it is\n")
    assert "ears     " in out
    assert err.startswith("torchcross: warning: ")
    assert "ears" in err
    found = json.loads(
        run(capsys, "data", "info", data, "--lodo", "lids", "--task", "grade", "--json")[1]
    )
    assert (found["targets"], found["sources"]) == (["lids/grade"], ["ears/sick", "eyes/sick"])
    found = json.loads(
        run(capsys, "data", "info", data, "--lodo", "Fundus", "--by", "domain", "--json")[1]
    )
    assert found["targets"] == ["eyes/sick"]


def test_info_refuses_half_a_question(capsys, data):
    assert refused(capsys, "data", "info", data, "--why") == "--why needs --lodo TARGET\n"
    assert "did you mean 'eyes'" in refused(capsys, "data", "info", data, "--lodo", "eye")


def test_catalog(capsys):
    status, out, err = run(capsys, "data", "catalog")
    assert (status, err) == (0, "")
    assert out.endswith("19 datasets, 54 tasks, 10 domains, 399,742 images\n")
    assert run(capsys, "data", "catalog", "--csv")[1].count("\n") == 55
    assert run(capsys, "data", "catalog", "--markdown")[1].startswith("| ")


def test_show(capsys, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(
        capsys, "data", "show", data, "eyes", "--task", "grade", "--per-class", "3", "--tile", "40"
    )
    assert (status, err) == (0, "")
    with Image.open("eyes.png") as image:
        assert out == f"eyes.png: {image.width} x {image.height} pixels\n"
    assert run(capsys, "data", "show", data, "--out", "all.png")[0] == 0
    assert run(capsys, "data", "show", data / "lids", "--seed", "3", "--classes", "1")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "all.png",
        "data",
        "eyes.png",
        "lids.png",
    ]


def test_show_refuses(capsys, data, tmp_path):
    assert "name one before it" in refused(capsys, "data", "show", data, "--task", "grade")
    assert refused(capsys, "data", "show", data, "--classes", "3").startswith(
        "--classes 3 belongs to a dataset"
    )
    assert "is no PNG" in refused(capsys, "data", "show", data, "--out", "x.jpg")
    assert "there is no folder" in refused(
        capsys, "data", "show", data, "--out", tmp_path / "none" / "x.png"
    )
    assert "did you mean 'eyes'" in refused(
        capsys, "data", "show", data, "eyess", "--out", tmp_path / "x.png"
    )
    assert "itself, not a folder of 'lids'" in refused(
        capsys, "data", "show", data / "eyes", "lids"
    )


def test_a_picture_that_cannot_be_written_leaves_nothing(data, tmp_path, capsys, monkeypatch):
    def fail(picture, file, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    out = tmp_path / "x.png"
    assert "No space left" in refused(capsys, "data", "show", data, "--out", out)
    assert not list(tmp_path.glob("*x.png*"))


# -- ending ----------------------------------------------------------------------------------------


@pytest.mark.long
def test_as_a_process(data):
    done = subprocess.run(
        [*PROGRAM, "data", "check", str(data)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Tasks: the most shots" in done.stdout


@pytest.mark.long
def test_a_reader_that_goes_away_is_no_error(data):
    """As `torchcross data check data | head -1`, with a pipe that is closed at once."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [*PROGRAM, "data", "info", str(data)]
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_the_output_cannot_write(tmp_path, encoding):
    root = os.fsencode(tmp_path) + b"/\xff"
    folder = Folder(os.fsdecode(root), "eyes")
    folder.info["domain"] = "\u4e2d"
    folder.write()
    for more in ([], ["--json"]):
        command = [*PROGRAM, "data", "check", root, *more]
        environment = os.environ | {"PYTHONIOENCODING": encoding}
        done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False, env=environment)
        assert (done.returncode, done.stderr) == (0, b"")
        shown = done.stdout.decode(encoding)
        assert ("\u4e2d" if encoding == "utf-8" else "\\u4e2d") in shown
        if more:
            assert json.loads(shown)["datasets"][0]["domain"] == "\u4e2d"


def test_an_interrupt_ends_it_without_a_traceback(capsys, data, monkeypatch):
    def interrupted(folder, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "check", interrupted)
    assert run(capsys, "data", "check", data) == (130, "", "torchcross: interrupted\n")


def test_names_do_not_steer_the_terminal(capsys, tmp_path, monkeypatch):
    folder = Folder(tmp_path, "eyes")
    folder.info["domain"] = "\x1b]0;title\x07\x1b[2J\x9b\u202eEyes"
    folder.write()
    for command in ("info", "check"):
        for is_terminal in (False, True):
            monkeypatch.setattr(sys.stdout, "isatty", lambda answer=is_terminal: answer)
            status, out, err = run(capsys, "data", command, tmp_path)
            assert (status, err) == (0, "")
            assert "\\x1b]0;title" in out.replace("\n", "")
            assert not set(out) & set("\x07\x9b\u202e")
            assert "\x1b]" not in out
            assert "\x1b[2J" not in out
    assert "\\x1b" in str(audit.check(tmp_path))
