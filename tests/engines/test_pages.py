"""The pages with blocks that need Lightning, with these packages themselves."""

from importlib.util import find_spec

import pytest

from tests.repository.page_packages import ENGINES, count_of_blocks, pages_with
from tests.repository.test_docs import name_of, run_page


# Lightning's own use of torch's trees of values.
@pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning")
@pytest.mark.slow
@pytest.mark.parametrize("path", pages_with(ENGINES), ids=name_of)
def test_blocks_of_a_page_run(path, tmp_path, monkeypatch):
    assert all(map(find_spec, ENGINES))
    assert run_page(path, tmp_path, monkeypatch) >= count_of_blocks(path, ENGINES)
