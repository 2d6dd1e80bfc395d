"""`benchmarks.gpu` runs to its end without a GPU, so that it does on the day when there is one."""

import json
import math

import pytest

from benchmarks import gpu
from benchmarks.gpu import Clock


@pytest.mark.long
def test_every_table_of_the_script_is_made(tmp_path, capsys):
    gpu.main(["--tiny", "--out", str(tmp_path)])
    results = json.loads((tmp_path / "gpu.json").read_text())
    rows = [*results["meta_batches"], *results["lanes"], *results["features"], *results["studies"]]
    assert [row["error"] for row in rows] == [""] * len(rows)
    for row in [*results["meta_batches"], *results["lanes"], *results["studies"]]:
        same = [each["loss"] for each in rows if each.get("table") == row["table"]]
        assert row["loss"] == pytest.approx(same[0], rel=0.05), row
    assert {row["name"] for row in results["lanes"]} >= {"ours, lanes 1", "ours, lanes 2, bf16"}
    assert results["sharing"]["gain"] > 0
    page = (tmp_path / "gpu.md").read_text()
    assert page.count("###") == 9
    assert page.count("\n| ours") == sum("ours" in row["name"] for row in rows)
    assert "side by side, gpus = 0.5" in capsys.readouterr().out


def test_an_error_is_that_of_its_row_and_time_ends():
    def fail():
        raise RuntimeError("CUDA out of memory\nand more")

    row = Clock("cpu", 1).row("a", fail, rounds=1)
    assert (row.error, math.isnan(row.seconds)) == ("CUDA out of memory", True)
    assert Clock("cpu", 0).row("a", lambda: float, rounds=1).error == "no time left"
    assert Clock("cpu", 1).row("a", lambda: lambda: 2.0, rounds=3).loss == 2.0


def test_without_a_gpu_the_script_says_so(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="torch sees no GPU here; --tiny runs on the CPU"):
        gpu.main([])
