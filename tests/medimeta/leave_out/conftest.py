"""The folder of datasets that the tests of the collection share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.medimeta.make import BINARY, LABELS, MULTI, ORDINAL, write_dataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`a` and `b` share a domain, `c` and `d` subjects, and `b` has no validation split."""
    write_dataset(tmp_path, "a", tasks=[MULTI, BINARY], domain_overlaps=["b"])
    write_dataset(
        tmp_path,
        "b",
        tasks=[BINARY],
        domain_overlaps=["a"],
        splits={"train": range(10), "test": [10, 11]},
    )
    write_dataset(tmp_path, "c", tasks=[LABELS, MULTI, ORDINAL], channels=3, subject_overlaps=["d"])
    write_dataset(tmp_path, "d", tasks=[ORDINAL], subject_overlaps=["c"])
    return tmp_path
