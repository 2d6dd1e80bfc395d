""" "all" in the column of shots: in memory, in files, in sentences."""

from dataclasses import replace

import pytest

from tests.report.sample import records
from torchcross.errors import InputError, ReadError
from torchcross.records import ALL_SHOTS, Records, read_records
from torchcross.report import markdown_table
from torchcross.statistics import within_target

FEW = records(1, 1, ["few"], (1, 5), 3, metrics=("auroc",), undefined=False)
CEILING = Records.of(
    replace(row, algorithm="much", shots="all") for row in FEW.where(shots=5, episode=0)
)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_keep_all_labels(tmp_path, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    both = FEW + CEILING
    path = both.write(tmp_path / f"rows.{suffix}")
    assert read_records(path) == both
    assert read_records(path).where(shots="all") == CEILING
    assert read_records(path).where(shots=[1, "all"]).unique("shots") == (1, ALL_SHOTS)
    if suffix == "csv":
        assert path.read_text().count(",all,") == len(CEILING)


def test_another_word_is_no_number_of_shots(tmp_path):
    with pytest.raises(InputError, match="shots is 'every'"):
        replace(next(iter(FEW)), shots="every")
    path = CEILING.write(tmp_path / "rows.csv")
    lines = path.read_text().splitlines()[:-1]
    path.write_text("\n".join(line.replace(",all,", ",every,") for line in lines) + "\n")
    with pytest.raises(ReadError, match="shots is 'every'"):
        read_records(path)


def test_sentences_and_tables_name_it():
    target = CEILING.unique("target")[0]
    made = within_target(CEILING, target, "auroc", ALL_SHOTS)
    assert "all labels" in str(made)
    assert "<td>all</td>" in CEILING._repr_html_()
    assert str(ALL_SHOTS) not in markdown_table(FEW + CEILING, ceilings=["much"])
