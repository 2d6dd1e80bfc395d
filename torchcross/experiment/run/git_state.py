"""The commit that a folder is at, and whether its files differ, without running what is in it.

A repository's own settings can name programs: hooks, filters, a monitor of files. The commit is
read from files, and git compares in a repository of ours: its settings are empty, its index is a
copy, and only the objects are those of the folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REFERENCES = 5
"""HEAD names a branch, a branch may name another one: so many at most."""

_NO_REPOSITORY = "none: the working folder is no git repository that can be read"
_SECONDS = 20
_UNCHANGED, _CHANGED = 0, 1


def git_state(folder: Path) -> dict[str, Any]:
    """The commit, and whether files that git knows differ from it."""
    try:
        top, git = _repository_of(folder)
        common = _common_folder(git)
        commit = _commit_of(git, common)
    except (OSError, ValueError):
        return {"commit": _NO_REPOSITORY}
    return {"commit": commit, "changed": _is_changed(top, git, common, commit)}


def _repository_of(folder: Path) -> tuple[Path, Path]:
    """(the top folder of the files, the folder of git) around a folder; or a ValueError."""
    for top in (folder.resolve(), *folder.resolve().parents):
        git = top / ".git"
        if git.is_dir():
            return top, git
        if git.is_file():
            # In a worktree, and in a submodule, a file names the folder.
            prefix, _, place = _text_of(git).partition(":")
            if prefix == "gitdir":
                return top, top / place.strip()
    raise ValueError(f"no repository is around {folder}")


def _common_folder(git: Path) -> Path:
    """Where a worktree has its branches and objects."""
    link = git / "commondir"
    return git / _text_of(link) if link.is_file() else git


def _commit_of(git: Path, common: Path) -> str:
    name = "HEAD"
    for _ in range(_REFERENCES):
        text = _reference(name, git, common)
        if _COMMIT.fullmatch(text):
            return text
        prefix, _, name = (part.strip() for part in text.partition(":"))
        if prefix != "ref" or not name.startswith("refs/") or ".." in name:
            raise ValueError(f"{text!r} is no reference")
    raise ValueError("too many references")


def _reference(name: str, git: Path, common: Path) -> str:
    for folder in (git, common):
        if (folder / name).is_file():
            return _text_of(folder / name)
    for line in _text_of(common / "packed-refs").splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name:
            return commit
    raise ValueError(f"the branch {name} has no commit")


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _is_changed(top: Path, git: Path, common: Path, commit: str) -> bool | str:
    program = shutil.which("git")
    if program is None:
        return "not known: git is not installed"
    # Submodules are left out: git would run in them with their own settings.
    command = [
        *(program, "diff", "--quiet", "--no-ext-diff", "--no-textconv"),
        *("--ignore-submodules=all", commit, "--"),
    ]
    try:
        with tempfile.TemporaryDirectory() as place:
            _make_repository(Path(place), git, commit)
            ended = subprocess.run(
                command,
                cwd=top,
                env=_environment(Path(place), top, common),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=_SECONDS,
            )
    except (OSError, subprocess.SubprocessError):
        return "not known: git cannot compare the files"
    if ended.returncode not in (_UNCHANGED, _CHANGED):
        return "not known: git cannot compare the files"
    return ended.returncode == _CHANGED


def _make_repository(place: Path, git: Path, commit: str) -> None:
    """A repository at the same commit, with the same index and no settings."""
    for name in ("objects", "refs"):
        (place / name).mkdir()
    (place / "HEAD").write_text(f"{commit}\n", encoding="ascii")
    settings = "[core]\nrepositoryformatversion = 1\nbare = false\nfsmonitor = false\n"
    if len(commit) == 64:
        settings += "[extensions]\nobjectFormat = sha256\n"
    (place / "config").write_text(settings, encoding="ascii")
    for index in (git / "index", *git.glob("sharedindex.*")):
        shutil.copyfile(index, place / index.name)


def _environment(place: Path, top: Path, common: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return own | {
        "GIT_DIR": str(place),
        "GIT_WORK_TREE": str(top),
        "GIT_OBJECT_DIRECTORY": str(common / "objects"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        # Windows looks for programs in the current folder first.
        "NoDefaultCurrentDirectoryInExePath": "1",
    }
