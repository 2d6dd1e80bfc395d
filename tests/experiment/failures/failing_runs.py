"""What became of a run in which something failed, and of the same run after the repair."""

import json
import shutil
from html import escape

TARGETS = ("oct/disease class", "bus/case category")


def rows(root):
    return {path.name: path.read_bytes() for path in (root / "run" / "rows").iterdir()}


def failures(root):
    """Reasons by algorithm and target."""
    told = json.loads((root / "run" / "failures.json").read_text(encoding="utf-8"))["failures"]
    return {(one["algorithm"], one["target"]): one["reason"] for one in told}


def check(root, clean, failed, status, err, reason):
    """The failures are told everywhere, and the other cells have the rows that they have anyway."""
    assert status == 1
    found = failures(root)
    assert set(found) == set(failed)
    page = (root / "run" / "report.html").read_text(encoding="utf-8")
    for told in found.values():
        assert reason in told
        assert escape(reason) in page
    assert err.count(reason) >= len(failed)
    assert "Traceback" not in err
    theirs = rows(clean)
    assert rows(root).items() <= theirs.items()
    assert rows(root)


def goes_on(root, clean, run, algorithms="protonet,ncm"):
    """After the repair nothing is done twice, and nothing differs from a run in which nothing
    failed.
    """
    folder = root / "run" / "rows"
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    status, err = run(algorithms=algorithms)
    assert failures(root) == {}, err
    assert status == 0
    assert "failed" not in err
    assert {name: (folder / name).stat().st_ino for name in before} == before
    wanted = tuple(name.replace("-", "_") for name in algorithms.split(","))
    assert rows(root) == {
        name: content for name, content in rows(clean).items() if name.startswith(wanted)
    }
    assert not list((root / "run").rglob("*.part"))


def gone(folder):
    (folder / "images.hdf5").unlink()


def mend(root, clean, dataset):
    shutil.rmtree(root / "data" / dataset)
    shutil.copytree(clean / "data" / dataset, root / "data" / dataset)


def after(plain, deed):
    def called(*given, **more):
        result = plain(*given, **more)
        deed()
        return result

    return called
