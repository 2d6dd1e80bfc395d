"""Property tests draw the same examples in every run; `make fuzz` draws others and tells how to
repeat them.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import FUZZ, USUAL, max_examples

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FAILS_SOMETIMES = """
from hypothesis import given, strategies as st

@given(st.integers(0, 2**64))
def test_rare(number):
    assert number % 50 or number < 1000, f"drawn: {number}"
"""


def drawn(profile="fixed"):
    """The examples that one run of a property test draws."""
    seen = []

    @settings(settings.get_profile(profile), max_examples=USUAL)
    @given(st.lists(st.integers()), st.text())
    def draw(numbers, text):
        seen.append((numbers, text))

    draw()
    return seen


def test_every_run_draws_the_same():
    assert drawn() == drawn()


def test_what_was_imported_before_does_not_matter(tmp_path, monkeypatch):
    before = drawn()
    constants = ", ".join(str(number) for number in range(10**6, 10**6 + 3000, 7))
    (tmp_path / "only_here.py").write_text(f"NUMBERS = [{constants}]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here  # noqa: F401

    assert drawn() == before


def test_other_seeds_are_for_fuzzing_alone():
    assert settings.get_profile("fixed").derandomize
    assert not settings.get_profile("fuzz").derandomize
    assert settings.get_profile("fuzz").database is None
    assert drawn("fuzz") != drawn()


def test_fuzzing_draws_more_of_everything(monkeypatch):
    assert settings.get_profile("fixed").max_examples == USUAL
    assert settings.get_profile("fuzz").max_examples == FUZZ
    current = settings.get_current_profile_name()
    try:
        settings.load_profile("fixed")
        assert max_examples(30).max_examples == 30
        settings.load_profile("fuzz")
        assert max_examples(30).max_examples == 30 * FUZZ // USUAL
    finally:
        settings.load_profile(current)


def fuzzing(folder, seed):
    """What pytest prints when it fuzzes the tests of a folder with a seed."""
    (folder / "pytest.ini").touch()
    (folder / "test_some.py").write_text(FAILS_SOMETIMES)
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    profile = ["--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}"]
    command = [sys.executable, "-m", "pytest", *options, *profile, str(folder)]
    run = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1, run.stdout + run.stderr
    return run.stdout


@pytest.mark.long
def test_a_failure_is_printed_with_the_command_that_repeats_it(tmp_path):
    printed = fuzzing(tmp_path, 7)
    assert "to repeat this run: make fuzz SEED=7" in printed
    assert "make fuzz SEED=7 ARGS=test_some.py::test_rare\n" in printed
    assert "@reproduce_failure(" in printed
    again = fuzzing(tmp_path, 7)
    assert failures(again) == failures(printed)


def failures(printed):
    return re.findall(r"reproduce_failure\(.*|drawn: \d+", printed)
