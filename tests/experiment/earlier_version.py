"""Runs as an earlier version left them: no file has a content hash."""

import json

from torchcross._kit.content_hash import split_hash_line


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
    return run
