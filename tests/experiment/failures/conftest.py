"""A run in which nothing fails, and copies of its datasets and configuration to be broken."""

import shutil

import pytest

from tests.experiment.small import command, prepare
from torchcross import cli


@pytest.fixture(scope="session")
def clean(tmp_path_factory):
    """A folder with datasets and a configuration, and the rows of a run in which nothing failed."""
    root = prepare(tmp_path_factory.mktemp("clean"))
    assert cli.main(command(root, root / "run", "--quiet")) == 0
    return root


@pytest.fixture
def root(clean, tmp_path):
    """The same, to be broken."""
    shutil.copytree(clean / "data", tmp_path / "data")
    shutil.copy(clean / "small.toml", tmp_path)
    return tmp_path


@pytest.fixture
def run(root, capsys):
    """Run some algorithms; (exit status, what stood on stderr)."""

    def called(*more, algorithms="protonet,ncm"):
        capsys.readouterr()
        status = cli.main(command(root, root / "run", "--algorithms", algorithms, *more))
        return status, capsys.readouterr().err

    return called
