"""The commit of the working folder is read without running anything that the folder holds."""

import os
import shutil
import subprocess
import sys

import pytest

from torchcross.experiment.run.git_state import git_state

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder, *arguments):
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    environment = own | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *identity, *arguments]
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return ended.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "a.txt").write_text("one\n")
    git(folder, "add", "a.txt")
    git(folder, "commit", "-qm", "first")
    return folder


def test_the_commit_and_whether_files_differ(repository):
    commit = git(repository, "rev-parse", "HEAD")
    assert git_state(repository) == {"commit": commit, "changed": False}
    inner = repository / "inner"
    inner.mkdir()
    (inner / "untracked.txt").write_text("x")
    assert git_state(inner) == {"commit": commit, "changed": False}
    (repository / "a.txt").write_text("one\n")
    assert git_state(repository)["changed"] is False, "a file with another time is no change"
    (repository / "a.txt").write_text("two\n")
    assert git_state(repository) == {"commit": commit, "changed": True}
    git(repository, "add", "a.txt")
    assert git_state(repository)["changed"] is True, "a staged change is one"
    git(repository, "pack-refs", "--all")
    assert git_state(repository)["commit"] == commit
    git(repository, "commit", "-qm", "second")
    assert git_state(repository) == {
        "commit": git(repository, "rev-parse", "HEAD"),
        "changed": False,
    }


def test_a_worktree_and_a_commit_without_branch(repository, tmp_path):
    git(repository, "worktree", "add", "-q", str(tmp_path / "other"))
    commit = git(repository, "rev-parse", "HEAD")
    assert git_state(tmp_path / "other") == {"commit": commit, "changed": False}
    git(repository, "checkout", "-q", "--detach")
    assert git_state(repository) == {"commit": commit, "changed": False}


def test_other_folders_have_no_commit(tmp_path, repository):
    (tmp_path / "plain").mkdir()
    assert git_state(tmp_path / "plain")["commit"].startswith("none")
    (repository / ".git" / "HEAD").write_text("ref: ../../secret\n")
    assert git_state(repository)["commit"].startswith("none")
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/none\n")
    assert git_state(repository)["commit"].startswith("none")


@pytest.mark.skipif(sys.platform == "win32", reason="the hostile programs are shell scripts")
def test_nothing_that_a_repository_names_is_run(repository, tmp_path, monkeypatch):
    witness = tmp_path / "witness"
    program = tmp_path / "hostile"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {witness}\ncat\n')
    program.chmod(0o755)
    (repository / ".gitattributes").write_text("*.txt filter=evil diff=evil\n")
    git(repository, "add", ".gitattributes")
    git(repository, "commit", "-qm", "attributes")
    hooks = repository / ".git" / "hooks"
    for name in ("post-index-change", "fsmonitor-watchman", "query-watchman"):
        shutil.copy(program, hooks / name)
    for name, value in {
        "core.fsmonitor": str(program),
        "filter.evil.clean": str(program),
        "filter.evil.process": str(program),
        "diff.evil.command": str(program),
        "diff.evil.textconv": str(program),
        "core.hooksPath": str(hooks),
        "core.pager": str(program),
        "core.sshCommand": str(program),
        "alias.diff": f"!{program}",
    }.items():
        git(repository, "config", name, value)
    submodule = repository / "module"
    git(repository, "init", "-q", "module")
    git(submodule, "commit", "-qm", "x", "--allow-empty")
    git(submodule, "config", "core.fsmonitor", str(program))
    git(repository, "-c", "core.fsmonitor=false", "add", "module")
    (repository / "a.txt").write_text("another\n")
    (repository / "git").write_text(program.read_text())
    (repository / "git").chmod(0o755)
    witness.unlink(missing_ok=True)
    index = (repository / ".git" / "index").read_bytes()
    monkeypatch.chdir(repository)
    assert git_state(repository)["changed"] is True
    assert not witness.exists(), witness.read_text()
    assert (repository / ".git" / "index").read_bytes() == index
    subprocess.run(["git", "status"], cwd=repository, capture_output=True, check=False)
    assert witness.exists(), "the folder is as hostile as it is meant to be"
