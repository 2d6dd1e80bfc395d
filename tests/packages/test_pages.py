"""The pages with blocks that need timm, open_clip and others, with these packages themselves."""

from importlib.util import find_spec

import pytest

from tests.repository.page_packages import PACKAGES, count_of_blocks, pages_with
from tests.repository.test_docs import name_of, run_page


@pytest.mark.slow
@pytest.mark.parametrize("path", pages_with(PACKAGES), ids=name_of)
def test_blocks_of_a_page_run(path, tmp_path, monkeypatch):
    assert all(map(find_spec, PACKAGES))
    assert run_page(path, tmp_path, monkeypatch) >= count_of_blocks(path, PACKAGES)
