"""/proc may hide the processes of other users: one that is not seen may live all the same."""

import dataclasses
import os
from pathlib import Path

import pytest

from torchcross.jobs.processes import is_running, this_process

UNUSED = 2**22 + 1
"""No process of Linux has this number."""


@pytest.fixture
def unseen():
    here = this_process()
    if not here.machine:
        pytest.skip("this system does not say which process is which")
    return dataclasses.replace(here, process=UNUSED)


def test_a_process_that_is_gone_is_dead(unseen):
    assert is_running(unseen) is False
    assert is_running(dataclasses.replace(unseen, process=10**30)) is False


def test_of_a_process_of_another_user_the_lease_decides(unseen, monkeypatch):
    signals = []

    def refuse(process, number):
        signals.append((process, number))
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    assert is_running(unseen) is None
    assert signals == [(UNUSED, 0)]


def test_what_cannot_be_read_now_is_not_known(monkeypatch):
    here = this_process()

    def refuse(path, **how):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert is_running(here) is None
