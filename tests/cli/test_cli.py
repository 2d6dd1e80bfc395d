"""The command line: what it prints, its exit status, and what it says of arguments that it does not
know.
"""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import torchcross as tx
from tests.command_line import refused, run
from torchcross.cli import entry

ROOT = Path(__file__).parents[2]
HERE = "tests.cli.modules"


@pytest.mark.slow
def test_certify_prints_the_table_and_says_whether_it_holds(capsys):
    status, out, err = run(
        capsys, "certify", "--module", f"{HERE}:net", "--steps", "2", "--directions", "1"
    )
    assert (status, err) == (0, "")
    assert out.startswith("MAML, engine 'reverse': exact second-order meta-gradient\n")
    assert out.endswith("verdict: holds\n")
    assert out.count("finite differences") == 4


def test_the_exit_status_says_that_it_does_not_hold(capsys):
    status, out, _ = run(capsys, "certify", "--module", f"{HERE}:wrong", "--directions", "1")
    assert status == 1
    assert "WRONG" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--algorithm", "proto-net"), "ProtoNet, engine 'reverse': plain gradient"),
        (("--algorithm", "meta_sgd", "--steps", "1"), "MetaSGD, engine 'reverse'"),
        (("--algorithm", "Reptile"), "claims"),
        (("--engine", "first_order", "--steps", "1"), "first-order meta-gradient"),
        (("--algorithm", "anil", "--steps", "1"), "ANIL, engine 'reverse'"),
    ],
)
def test_algorithms_and_engines_by_name(capsys, arguments, said):
    status, out, _ = run(
        capsys, "certify", "--module", f"{HERE}:net", "--directions", "1", *arguments
    )
    assert status == 0
    assert said.replace("claims", "is claimed") in out


def test_a_module_that_is_an_algorithm(capsys):
    assert run(capsys, "certify", "--module", f"{HERE}:protonet", "--directions", "1")[0] == 0
    assert "ProtoNet" not in refused(
        capsys, "certify", "--module", f"{HERE}:protonet", "--steps", "3"
    )
    said = refused(
        capsys, "certify", "--module", f"{HERE}:protonet", "--steps", "3", "--algorithm", "maml"
    )
    assert "makes an algorithm already; leave out --algorithm, --steps" in said


@pytest.mark.slow
def test_a_backbone_by_name(capsys):
    names = ("--backbone", "image_statistics", "--algorithm", "ridge")
    assert run(capsys, "certify", *names, "--directions", "1")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("crtify",), "no command of torchcross is called 'crtify'; did you mean 'certify'?"),
        (
            ("certify", "--algorithm", "mamml"),
            "no algorithm is called 'mamml'; did you mean 'maml'?",
        ),
        (
            ("certify", "--algorithm", "zzz"),
            "no algorithm is called 'zzz'; there are 'anil', 'boil', ",
        ),
        (
            ("certify", "--engine", "revers"),
            "no engine is called 'revers'; did you mean 'reverse'?",
        ),
        (
            ("certify", "--backbone", "resnet81"),
            "no backbone is called 'resnet81'; did you mean 'resnet18'?",
        ),
        (("certify", "--backbone", "build"), "no backbone is called 'build'"),
        (("certify", "--backbone", "tim:vit"), "called 'tim'; did you mean 'timm'?"),
        (
            ("certify", "--algorithm", "ridge", "--steps", "2"),
            "Ridge takes no --steps; leave it out",
        ),
        (
            ("certify", "--algorithm", "anil", "--engine", "mixed"),
            "ANIL takes no --engine; leave it out",
        ),
        (("certify", "--stps", "2"), "unrecognized arguments: --stps 2; did you mean --steps?"),
        (("plan", "--algoritms", "ncm"), "arguments: --algoritms; did you mean --algorithms?"),
        (
            ("plan", "--target=oct", "--shot", "5"),
            "--target=oct --shot; did you mean --targets and --shots?",
        ),
        (("plan", "--zzz"), "unrecognized arguments: --zzz; see"),
        (("certify", "--step", "2"), "unrecognized arguments: --step 2"),
        (("certify", "--steps", "two"), "invalid int value: 'two'"),
        (("certify", "--steps", "-1"), "steps=-1 is not an integer of at least 0"),
        (("certify", "--module", "nothing"), "give package.module:callable"),
        (("certify", "--module", "no_such_package:net"), "'no_such_package' cannot be imported"),
        (("certify", "--module", f"{HERE}:nett"), "did you mean 'net'?"),
        (("certify", "--module", f"{HERE}:number"), "made a int; it must make a torch.nn.Module"),
        (
            ("certify", "--module", f"{HERE}:net", "--backbone", "conv4"),
            "not allowed with argument",
        ),
    ],
)
def test_what_is_not_known_is_answered_with_the_nearest(capsys, arguments, said):
    err = refused(capsys, *arguments)
    assert said in err
    assert err.count("\n") == 1


def test_help_and_version(capsys):
    assert run(capsys, "--version") == (0, f"torchcross {tx.__version__}\n", "")
    for arguments in (["--help"], ["certify", "--help"]):
        status, out, err = run(capsys, *arguments)
        assert (status, err) == (0, "")
        assert "certify" in out
    status, out, err = run(capsys)
    assert (status, out) == (2, "")
    assert "usage: torchcross" in err


@pytest.mark.parametrize("command", ["run", "plan", "tune"])
def test_the_help_of_experiments_lists_what_there_is(capsys, command):
    status, out, _ = run(capsys, command, "--help")
    words = out.replace(",", " ").split()
    assert status == 0
    assert {"algorithms:", "mm-maml", "presets:", "quick", "backbones:", "conv4"} <= {*words}


@pytest.fixture
def others(monkeypatch):
    def found(group):
        assert group == "torchcross.commands"
        return [
            EntryPoint("data", "tests.cli.test_cli:data_command", group),
            EntryPoint("broken", "tests.cli.test_cli:not_there", group),
            EntryPoint("certify", "tests.cli.test_cli:data_command", group),
            EntryPoint("failing", "tests.cli.test_cli:FAILING.command", group),
            EntryPoint("silent", "tests.cli.test_cli:silent_command", group),
        ]

    monkeypatch.setattr(entry, "entry_points", found)


class Failing:
    """What its package has fails when it is loaded."""

    @property
    def command(self):
        raise RuntimeError("no licence")


FAILING = Failing()


def data_command(arguments):
    """Read other data.

    Its exit status is 7.
    """
    sys.stdout.write(f"data got {arguments}\n")
    return 7


def silent_command(arguments):
    return 0


@pytest.mark.usefixtures("others")
def test_commands_of_other_packages(capsys):
    assert run(capsys, "data", "list", "--long") == (7, "data got ['list', '--long']\n", "")
    assert "no command of torchcross is called 'dato'; did you mean 'data'?" in refused(
        capsys, "dato"
    )
    assert "'broken' is tests.cli.test_cli:not_there, which cannot be loaded" in refused(
        capsys, "broken"
    )
    assert "which cannot be loaded: RuntimeError: no licence" in refused(capsys, "failing")
    assert run(capsys, "certify", "--module", f"{HERE}:protonet", "--directions", "1")[0] == 0
    out = run(capsys, "--help")[1]
    assert "  data         read other data\n" in out
    assert "  silent       from tests.cli.test_cli\n" in out
    assert "  broken       cannot be loaded from tests.cli.test_cli:not_there\n" in out
    assert "  failing      cannot be loaded from tests.cli.test_cli:FAILING.command\n" in out
    assert out.count("  certify ") == 1


def python(*arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


WARNING_COMMAND = """
import sys, warnings
from torchcross.cli import entry
from torchcross.errors import TorchcrossWarning

class Point:
    name = value = "warn"

    def load(self):
        return warn

def warn(arguments):
    for category in (TorchcrossWarning, UserWarning):
        warnings.warn("a subject\\x1b is shared", category)
    return 0

warnings.simplefilter("always")
usual, entry.entry_points = warnings.formatwarning, lambda group: [Point()]
assert entry.main(["warn"]) == 0
assert warnings.formatwarning is usual
"""


def test_a_warning_of_the_library_is_a_line_without_code():
    ran = python("-c", WARNING_COMMAND)
    assert ran.returncode == 0, ran.stderr
    ours, *theirs = ran.stderr.splitlines()
    assert ours == r"torchcross: warning: a subject\x1b is shared"
    assert "UserWarning" in theirs[0]


def test_python_m_torchcross_and_the_console_script_are_the_same():
    ran = python("-m", "torchcross", "--version")
    assert (ran.returncode, ran.stdout) == (0, f"torchcross {tx.__version__}\n")
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "scripts"
    ]
    assert scripts == {"torchcross": "torchcross.cli:main"}
    assert python("-m", "torchcross", "crtify").returncode == 2


def test_the_command_line_itself_imports_no_torch():
    program = (
        "import sys, torchcross.cli as cli; status = cli.main(['crtify']); sys.exit('torch' in"
        " sys.modules or status)"
    )
    ran = python("-c", program)
    assert ran.returncode == 2, ran.stderr
