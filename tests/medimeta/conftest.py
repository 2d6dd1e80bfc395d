"""Folders that several files check and give to commands."""

import pytest

from tests.medimeta.audit_folders import Folder


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


@pytest.fixture
def data(tmp_path):
    """A root of two datasets."""
    Folder(tmp_path / "data", "eyes").write()
    Folder(tmp_path / "data", "lids", channels=3, domain="Lids").write()
    return tmp_path / "data"
