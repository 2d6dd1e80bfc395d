"""Tutorials: pages whose Python blocks are run as one notebook, with what they show below them.

python -m docs.site.tutorials own-data     run one, and say how long that took
"""

from __future__ import annotations

import base64
import os
import re
import resource
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]
FOLDER = "docs/tutorials"
LIMIT = 60.0
"""Seconds on one core."""
_BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n", re.MULTILINE | re.DOTALL)


class TutorialError(Exception):
    """A tutorial that fails, warns or takes too long."""


@dataclass
class Tutorial:
    """A tutorial that was run: its page, its notebook, and the pictures that its page shows."""

    name: str
    text: str
    notebook: str
    seconds: float
    pictures: dict[str, bytes] = field(default_factory=dict)


def run_tutorial(name: str, root: Path = ROOT) -> Tutorial:
    """Run the blocks of `docs/tutorials/NAME.md` in a kernel of one thread and an empty folder."""
    text = (root / FOLDER / f"{name}.md").read_text(encoding="utf-8")
    notebook = as_notebook(text)
    # The kernel inherits them.
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    started = _seconds_of_children()
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=600,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=40"],
        )
        try:
            client.execute()
        except CellExecutionError as error:
            what = f"{error.ename}: {error.evalue}"
            raise TutorialError(f"the tutorial {name} fails: {what}") from error
    seconds = _seconds_of_children() - started
    tutorial = Tutorial(name, "", nbformat.writes(notebook), seconds)
    cells = iter(cell for cell in notebook.cells if cell.cell_type == "code")
    shown = _BLOCK.sub(lambda block: block[0] + _shown(next(cells), tutorial), text)
    link = f"\n[This page as a notebook]({name}.ipynb), with its outputs.\n"
    tutorial.text = shown + link
    return tutorial


def _seconds_of_children() -> float:
    """Return the seconds of a core that ended processes took, whatever else runs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def as_notebook(text: str) -> Any:
    """Return the page as a notebook: its Python blocks are cells of code."""
    cells, end = [], 0
    for block in _BLOCK.finditer(text):
        if prose := text[end : block.start()].strip():
            cells.append(nbformat.v4.new_markdown_cell(prose, id=f"text-{len(cells)}"))
        cells.append(nbformat.v4.new_code_cell(block["code"].rstrip(), id=f"code-{len(cells)}"))
        end = block.end()
    if prose := text[end:].strip():
        cells.append(nbformat.v4.new_markdown_cell(prose, id=f"text-{len(cells)}"))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _shown(cell: Any, tutorial: Tutorial) -> str:
    outputs: list[Any] = []
    for output in cell.outputs:
        is_text = output.output_type == "stream" and output.name == "stdout"
        if is_text and outputs and outputs[-1].output_type == "stream":
            outputs[-1].text += output.text
        else:
            outputs.append(output)
    parts = [_output(output, tutorial) for output in outputs]
    return "".join(f"\n{part}\n" for part in parts if part)


def _output(output: Any, tutorial: Tutorial) -> str:
    """Return an output as Markdown: a picture, a table or text."""
    if output.output_type == "stream":
        if output.name == "stderr":
            raise TutorialError(f"the tutorial {tutorial.name} warns: {output.text}")
        return _text(output.text)
    data = output.data
    if "image/png" in data:
        picture = f"{tutorial.name}-{len(tutorial.pictures)}.png"
        tutorial.pictures[picture] = base64.b64decode(data["image/png"])
        return f"![What the code above shows]({picture})"
    if "text/markdown" in data:
        return str(data["text/markdown"])
    for kind in ("image/svg+xml", "text/html"):
        if kind in data:
            body = re.sub(r"\n\s*\n", "\n", data[kind].strip())
            return f'<div class="shown">{body}</div>'
    return _text(data["text/plain"])


def _text(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def main(names: list[str]) -> None:
    for name in names:
        tutorial = run_tutorial(name)
        sys.stdout.write(f"{tutorial.text}\n{name}: {tutorial.seconds:.0f} s\n")


if __name__ == "__main__":
    main(sys.argv[1:])
