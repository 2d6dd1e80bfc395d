"""Runs as an earlier version left them: no file has a content hash."""

import json

from torchcross._kit.content_hash import split_hash_line
from torchcross.experiment.run.json_files import write_json


def strip_hash_line(path, change=lambda lines: lines):
    """The same rows without a hash; `change` maps their lines to others."""
    content, _ = split_hash_line(path, path.read_bytes(), "")
    path.write_bytes(b"".join(change(content.splitlines(keepends=True))))


def without_hashes(run):
    """Take the hashes out of a run's JSON and CSV files."""
    for path in run.rglob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        for name in ("sha256", "format", "cell", "rows", "training", "files"):
            record.pop(name, None)
        path.write_text(json.dumps(record), encoding="utf-8")
    for path in run.rglob("*.csv"):
        if path.parent != run:
            strip_hash_line(path)
    (run / "page.json").unlink(missing_ok=True)
    return without_plans(run)


def without_plans(run):
    """Take the plan files away, and what names them: rows are of episodes with a digest alone."""
    for path in (run / "episodes").glob("plans-*.npz"):
        path.unlink()
    for path in (run / "episodes").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        record.pop("plans", None)
        if "sha256" in record:
            del record["sha256"]
            write_json(path, record)
        else:
            path.write_text(json.dumps(record), encoding="utf-8")
    return run
