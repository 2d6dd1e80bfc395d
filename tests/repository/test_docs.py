"""What the documentation shows is run, and where it points there is something."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from tests.repository.markdown import Fence, broken_links, fences
from tests.repository.page_packages import ENGINES, PACKAGES
from tests.repository.page_packages import PAGES as ALL_PAGES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
# `make site` runs these as notebooks, up to a minute each.
TUTORIALS = set(ROOT.glob("docs/tutorials/*.md"))
# A minute of one core: it trains, and scores eight targets.
OTHER_PAGES = [
    ROOT / name
    for name in (
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "CODE_OF_CONDUCT.md",
        "SECURITY.md",
        "SUPPORT.md",
        "benchmarks/README.md",
    )
]
EXAMPLES = sorted(ROOT.glob("docs/examples/*.py"))
SHELLS = {"console", "sh", "bash", "shell"}
ALIASES = {"py", "python3", "pycon", "ipython"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture
def unmoved_generators() -> Iterator[None]:
    """Give the next test the global generators that a snippet may have seeded, as they were."""
    state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        yield
    np.random.set_state(state)  # noqa: NPY002


def run_page(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the blocks of a page in a folder, which trackers do not leave either.

    Returns how many of them need packages.
    """
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (folder / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("DISABLE_MLFLOW_TELEMETRY", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    return sum(bool(fence.packages) for fence in run_snippets(path))


def run_snippets(path: Path) -> list[Fence]:
    """Run the ```python blocks of one file in one namespace; return them.

    A block that needs packages is run where they are installed: `make packages` and `make engines`
    have them.
    """
    module = ModuleType(f"snippets_of_{path.stem}")
    # As in a script: classes of a page can be pickled.
    sys.modules[module.__name__] = module
    ran = []
    for fence in fences(path.read_text(encoding="utf-8")):
        installed = all(map(find_spec, fence.packages))
        if fence.language == "python" and fence.not_run is None and installed:
            # Blank lines before it, so that a traceback shows the line of the page.
            code = compile("\n" * (fence.line - 1) + fence.text, str(path), "exec")
            exec(code, module.__dict__)
            ran.append(fence)
    return ran


@pytest.mark.long
@pytest.mark.usefixtures("unmoved_generators", "registries")
@pytest.mark.parametrize(
    "path", [page for page in [*PAGES, *OTHER_PAGES] if page not in TUTORIALS], ids=name_of
)
def test_snippets_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(path, tmp_path, monkeypatch)


def test_the_readme_has_a_snippet() -> None:
    blocks = fences((ROOT / "README.md").read_text(encoding="utf-8"))
    assert any(block.language == "python" and block.not_run is None for block in blocks)


@pytest.mark.parametrize("path", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_what_is_not_run_has_a_reason(path: Path) -> None:
    for fence in fences(path.read_text(encoding="utf-8")):
        assert fence.language not in ALIASES, (
            f"line {fence.line}: call it ```python, so that it is run"
        )
        assert fence.not_run is None or len(fence.not_run) > 10, (
            f"line {fence.line}: why is it not run?"
        )


def test_one_environment_has_all_packages_of_a_block() -> None:
    blocks = [
        fence
        for path in [*PAGES, *OTHER_PAGES]
        for fence in fences(path.read_text(encoding="utf-8"))
    ]
    assert [fence for fence in blocks if not runs_somewhere(fence)] == []
    needed = {package for fence in blocks for package in fence.packages}
    assert needed == {*PACKAGES, *ENGINES}


def runs_somewhere(fence: Fence) -> bool:
    """Say whether `make packages` or `make engines` has all that the block needs, and runs it."""
    if not fence.packages:
        return True
    is_run = fence.language == "python" and fence.not_run is None
    return is_run and any(set(fence.packages) <= set(each) for each in (PACKAGES, ENGINES))


@pytest.mark.parametrize(
    ("packages", "runs"),
    [
        ("timm, open_clip", True),
        ("lightning", True),
        ("timm, lightning", False),
        ("no_such_package", False),
    ],
)
def test_a_block_that_no_environment_runs_is_caught(packages: str, runs: bool) -> None:
    (fence,) = fences(f"<!-- run with: {packages} -->\n```python\nx = 1\n```\n")
    assert runs_somewhere(fence) is runs


def test_a_block_with_packages_in_another_language_is_caught() -> None:
    (fence,) = fences("<!-- run with: timm -->\n```text\nx = 1\n```\n")
    assert not runs_somewhere(fence)


def test_every_page_that_is_run_is_looked_at_for_packages() -> None:
    assert {*PAGES, *OTHER_PAGES} <= {*ALL_PAGES}


@pytest.mark.parametrize("path", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_commands_exist(path: Path) -> None:
    shell = "".join(
        fence.text for fence in fences(path.read_text(encoding="utf-8")) if fence.language in SHELLS
    )
    assert unknown_in(shell) == []


@pytest.mark.parametrize("path", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_relative_links_resolve(path: Path) -> None:
    assert broken_links(path) == []


@pytest.mark.long
@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_examples_run(path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip(), "an example shows something"


def unknown_in(shell: str) -> list[str]:
    """Return the make targets, extras and files that the commands name and the repository does not
    have.
    """
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    targets = re.findall(r"\bmake\s+([a-z][\w-]*)", shell)
    named = re.findall(r"(?:\.|torchcross-fewshot)\[([\w,-]+)\]", shell)
    files = re.findall(r"(?<![\w/.-])((?:docs|tests|benchmarks|torchcross)/[\w/.-]+)", shell)
    return [
        *(target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)),
        *(extra for group in named for extra in group.split(",") if extra not in extras),
        *(file for file in files if not (ROOT / file).exists()),
    ]


def test_unknown_commands_are_caught() -> None:
    known = "make demo\npip install -e '.[dev]'\npython tests/repository/test_docs.py\nmake -j2\n"
    assert unknown_in(known) == []
    unknown = (
        "make dmeo && make test\npip install 'torchcross-fewshot[augment,wings]'\npython"
        " docs/none.py\n"
    )
    assert unknown_in(unknown) == ["dmeo", "wings", "docs/none.py"]


def test_a_snippet_that_fails_or_warns_is_caught(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n\n```python\nx = 1\n```\n\n<!-- not run: it needs a printer -->\n```python\n1 /"
        " 0\n```\n"
    )
    assert len(run_snippets(page)) == 1
    page.write_text("```python\nx = 1\n```\ntext\n```python\nassert x == 2\n```\n")
    with pytest.raises(AssertionError) as failure:
        run_snippets(page)
    assert failure.traceback[-1].lineno == 5
    page.write_text("```python\nimport warnings\nwarnings.warn('old')\n```\n")
    with pytest.raises(UserWarning, match="old"):
        run_snippets(page)


def test_a_block_that_needs_a_package_is_run_where_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- run with: no_such_package -->\n```python\n1 / 0\n```\n"
        "<!-- run with: json, pathlib -->\n```python\nx = 1\n```\n"
    )
    assert len(run_snippets(page)) == 1
    page.write_text("<!-- run with: json -->\n```python\n1 / 0\n```\n")
    with pytest.raises(ZeroDivisionError):
        run_snippets(page)


def test_only_blocks_that_need_packages_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    ordinary = "```python\nx = 1\n```\n"
    page.write_text(f"{ordinary}<!-- run with: no_such_package -->\n```python\n1 / 0\n```\n")
    assert run_page(page, tmp_path, monkeypatch) == 0
    page.write_text(f"{ordinary}<!-- run with: json -->\n{ordinary}")
    assert run_page(page, tmp_path, monkeypatch) == 1


@pytest.mark.parametrize(
    ("link", "good"),
    [
        ("[x](other.md)", True),
        ("[x](none.md)", False),
        ("[x](other.md#a-title)", True),
        ("[x](other.md#a-title-1)", True),
        ("[x](other.md#no-title)", False),
        ("[x](#here-it-is)", True),
        ("[![logo](none.png)](other.md)", False),
        ("[![logo](other.md)](none.md)", False),
        ("[x]: none.md", False),
        ("<img src='none.png'>", False),
        ("`[x](none.md)`", True),
        ("[x](https://example.org/none.md)", True),
        ("[x](/other.md)", False),
        ("```text\n[x](none.md)\n```", True),
    ],
)
def test_broken_links_are_caught(tmp_path: Path, link: str, good: bool) -> None:
    (tmp_path / "other.md").write_text("# A title\n\ntext\n\n## A `title`\n")
    page = tmp_path / "page.md"
    page.write_text(f"# Here it is!\n\n{link}\n")
    assert (broken_links(page) == []) is good
