"""Mutation testing of one room: small faults are put into its code, and its tests must notice them.

    python -m tests.repository.mutation functional
    python -m tests.repository.mutation data/sampling --limit 100 --seed 1
    python -m tests.repository.mutation medimeta_adapter/format

The library mutmut makes the faults and runs the tests that reach them. Everything happens in a copy
of the tree, in a temporary folder; the working tree is never touched. Of the room's mutants, a
sample is tried, and the seed decides which; the same seed on the same tree tries the same ones.
mutmut forks processes, so this needs Linux or macOS.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("torchcross", "medimeta_adapter")
# How mutmut names what came of a mutant. A test that runs for ever has noticed the fault as well.
NOTICED = {"killed", "timeout", "segfault", "suspicious"}
# A name of mutmut: module, "x_function" or "xǁClassǁmethod", number.
MUTANT = re.compile(r"(?P<module>.+)\.x(?:_|ǁ(?P<owner>.+)ǁ)(?P<function>.+)__mutmut_\d+")


def copy_tree(folder: Path) -> None:
    """Copy what git tracks, and what it would track, into a folder."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    for name in output.decode().split("\0"):
        if name and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)


def room_folder(room: str) -> str:
    """Return the folder of a room: `data/sampling` is torchcross/data/sampling."""
    for name in (room.strip("/"), f"torchcross/{room.strip('/')}"):
        if name.startswith(PACKAGES) and (ROOT / name).is_dir():
            return name
    raise SystemExit(f"there is no room {room!r}; give its path, such as 'data/sampling'")


def tests_of(folder: str) -> str:
    """Return the innermost folder of tests that mirrors a room."""
    package, *parts = folder.split("/")
    if package == "medimeta_adapter":
        parts = ["medimeta", *parts]
    for count in range(len(parts), 0, -1):
        tests = "/".join(["tests", *parts[:count]])
        if (ROOT / tests).is_dir():
            return tests
    return "tests"


def configure(copy: Path, folder: str, tests: str) -> None:
    """Tell mutmut what to mutate, what else it needs, and which tests to run."""
    settings = {
        "source_paths": [folder],
        "also_copy": sorted(path.name for path in copy.iterdir()),
        "pytest_add_cli_args_test_selection": [tests],
        "pytest_add_cli_args": ["-p", "no:xdist", "-p", "no:cacheprovider"],
    }
    # A list of strings is the same text in JSON and in TOML.
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    with (copy / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n".join(["", "[tool.mutmut]", "use_git_change_detection = false", *lines, ""]))


def mutmut(copy: Path, *arguments: str) -> str:
    """Run mutmut in the copy and return what it printed, whether it succeeded or not."""
    command = [sys.executable, "-W", "ignore", "-m", "mutmut", *arguments]
    environment = os.environ | {"PYTHONPATH": "", "NO_COLOR": "1"}
    run = subprocess.run(
        command,
        cwd=copy,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.stdout


def mutants_in(copy: Path) -> list[str]:
    """Make the mutants and let mutmut learn which tests reach them; return their names."""
    # No mutant has this name: mutmut stops where it would start to try mutants.
    printed = mutmut(copy, "run", "no_such_mutant")
    if not (copy / "mutants" / "mutmut-stats.json").exists():
        raise SystemExit(f"{printed[-4000:]}\nthe tests of the room do not pass in a copy")
    names: list[str] = []
    for path in sorted((copy / "mutants").rglob("*.meta")):
        names += json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return sorted(names)


def outcomes(copy: Path, names: Sequence[str], processes: int) -> dict[str, str]:
    """Try the mutants; return what came of each, in mutmut's words."""
    printed = mutmut(copy, "run", "--max-children", str(processes), *names)
    lines = mutmut(copy, "results", "--all", "true").splitlines()
    every = dict(line.strip().rsplit(": ", 1) for line in lines if ": " in line)
    result = {
        name: every[name] for name in names if every.get(name, "not checked") != "not checked"
    }
    if not result:
        raise SystemExit(f"{printed[-4000:]}\nmutmut tried none of the mutants")
    return result


def first_line(path: Path, owner: str | None, function: str) -> int:
    """Return the line where a function or method begins, its decorators included."""
    scope: Sequence[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    if owner:
        classes = [node for node in scope if isinstance(node, ast.ClassDef) and node.name == owner]
        scope = classes[0].body if classes else []
    for node in scope:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            return min([node.lineno, *(item.lineno for item in node.decorator_list)])
    return 1


def place_and_change(copy: Path, name: str) -> str:
    """Describe a mutant: file and line, the line as it is, and the line as it was changed."""
    diff = mutmut(copy, "show", name).splitlines()
    match = MUTANT.fullmatch(name)
    file = next((line[4:] for line in diff if line.startswith("--- ")), "?")
    changed = [line for line in diff if re.match(r"[-+](?![-+]{2} )", line)]
    line = 0
    if match and (copy / file).is_file():
        # The lines of the diff are counted from the start of the function.
        hunk = next(number for number, text in enumerate(diff) if text.startswith("@@"))
        removed = next(number for number, text in enumerate(diff[hunk:]) if text[:1] in "-+")
        offset = int(diff[hunk].split()[1].split(",")[0].lstrip("-")) + removed - 1
        line = first_line(copy / file, match["owner"], match["function"]) + offset - 1
    return "\n".join([f"{file}:{line}  {name}", *(f"    {text}" for text in changed)])


def report(copy: Path, result: dict[str, str], seed: int, total: int) -> str:
    """Return one paragraph for every mutant that nothing noticed, and the count at the end."""
    unnoticed = [name for name, outcome in result.items() if outcome not in NOTICED]
    places = [f"{result[name]}: {place_and_change(copy, name)}" for name in unnoticed]
    counts = Counter(result.values())
    counted = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    noticed = len(result) - len(unnoticed)
    summary = f"{noticed} of {len(result)} mutants noticed ({counted}); seed {seed}, {total} in all"
    return "\n\n".join([*places, summary])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.repository.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("room", help="a folder of the product, such as functional, data/sampling")
    parser.add_argument("--tests", help="the tests to run; those that mirror the room if left out")
    parser.add_argument("--limit", type=int, default=60, help="how many mutants to try (60)")
    parser.add_argument("--seed", type=int, default=0, help="which of them (0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    folder = room_folder(options.room)
    tests = options.tests or tests_of(folder)
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        copy = Path(temporary)
        copy_tree(copy)
        configure(copy, folder, tests)
        print(f"making the mutants of {folder} and running {tests} once ...", flush=True)
        names = mutants_in(copy)
        sample = sorted(random.Random(options.seed).sample(names, min(options.limit, len(names))))
        print(f"trying {len(sample)} of {len(names)} mutants ...", flush=True)
        print(report(copy, outcomes(copy, sample, options.processes), options.seed, len(names)))


if __name__ == "__main__":
    main()
