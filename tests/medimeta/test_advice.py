"""Every option that a text of the adapter names is one of the commands that can print the text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import medimeta_adapter
from medimeta_adapter import commands
from medimeta_adapter.commands.convert import GROUP as CONVERT
from medimeta_adapter.commands.fetch import GROUP as FETCH
from torchcross.cli.group import Parser
from torchcross.data.sources import image_files

_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")

FILES = ("convert imagefolder", "convert csv", "convert huggingface")
CONVERTERS = (*FILES, "convert arrays", "convert medmnist")
FORMAT = ("info", "check", "show")

# The commands that print the texts of a module; the longest name that fits counts.
PRINTED_BY = {
    "audit": ("check",),
    "commands.convert_": CONVERTERS,
    "commands.output": FORMAT,
    "convert": CONVERTERS,
    "convert.from_arrays": ("convert arrays",),
    "convert.from_csv": ("convert csv",),
    "convert.from_folder": ("convert imagefolder",),
    "convert.from_hugging_face": ("convert huggingface",),
    "convert.from_medmnist": ("convert medmnist",),
    "convert.table": ("convert csv",),
    # Its advice to skip images is for rows that are files alone.
    "convert.unreadable_images": FILES,
    "convert.unlabelled_rows": ("convert csv",),
    "fetch": ("fetch open",),
    "fetch.published": ("fetch medimeta",),
    "fetch.weight_files": ("weights fetch",),
    "format": FORMAT,
    "leave_out": FORMAT,
    # Fetched and synthetic images need no choice of depth and fit.
    "preprocess": CONVERTERS,
    "show": ("show",),
    "synthetic": ("synth",),
    "writing": (*CONVERTERS, "synth", "fetch open"),
}
for name in commands._DATA.commands:
    PRINTED_BY[f"commands.{name}"] = (name,)
for name in CONVERT.commands:
    PRINTED_BY[f"commands.convert_{name}"] = (f"convert {name}",)
for name in FETCH.commands:
    PRINTED_BY[f"commands.fetch_{name}"] = (f"fetch {name}",)
PRINTED_BY["commands.weights_fetch"] = ("weights fetch",)
PRINTED_BY["commands.demo_run"] = ("demo_run",)


def options_of(command: str) -> set[str]:
    """The options of `torchcross data COMMAND`, or of `torchcross COMMAND` for weights and demo."""
    module = import_module(f"medimeta_adapter.commands.{command.replace(' ', '_')}")
    parser = Parser()
    module.arguments(parser)
    return set(parser._option_string_actions)


def sentences(path: Path) -> Iterator[str]:
    """The texts of a module with a space in them: no lone argument, and no line of an example."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            lines = node.value.splitlines()
            yield "\n".join(line for line in lines if not line.lstrip().startswith((">>>", "...")))


def adapter_modules() -> Iterator[tuple[str, Path]]:
    root = Path(medimeta_adapter.__file__).parent
    for path in sorted(root.rglob("*.py")):
        yield ".".join(path.relative_to(root).with_suffix("").parts), path
    yield "convert.from_folder", Path(image_files.__file__)


def advised_options() -> list[tuple[str, str, tuple[str, ...]]]:
    """The module, the option, and the commands that must have it, for each option in a text."""
    advice = set()
    for module, path in adapter_modules():
        fitting = [name for name in PRINTED_BY if module.startswith(name)]
        printed_by = PRINTED_BY[max(fitting, key=len)] if fitting else ()
        for sentence in sentences(path):
            advice |= {(module, option, printed_by) for option in _OPTION.findall(sentence)}
    return sorted(advice)


@pytest.mark.parametrize(("module", "option", "printed_by"), advised_options())
def test_an_advised_option_exists(module: str, option: str, printed_by: tuple[str, ...]) -> None:
    assert printed_by, f"{module} names {option}; say in PRINTED_BY which commands print its texts"
    lacking = [command for command in printed_by if option not in options_of(command)]
    assert not lacking, f"{module} names {option}, which is no option of: {', '.join(lacking)}"


def test_the_search_finds_options() -> None:
    found = {option for _, option, _ in advised_options()}
    assert {"--overwrite", "--labels", "--follow-links", "--skip-unreadable"} <= found
