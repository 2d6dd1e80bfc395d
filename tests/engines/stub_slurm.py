"""A Slurm of one machine, as programs on PATH: jobs really run, and one of them is preempted.

`install(folder)` writes `sbatch`, `srun`, `sacct`, `scancel` and `scontrol` into `folder/bin`. What
submitit needs of each is there and nothing else. The state of a job is a file in `folder/jobs`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

_PROGRAMS = ("sbatch", "srun", "sacct", "scancel", "scontrol")


def install(folder: Path) -> Path:
    """Write the programs and return the folder to put on PATH."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (folder / "jobs").mkdir()
    root = Path(__file__).resolve().parents[2]
    for name in _PROGRAMS:
        program = programs / name
        program.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(root)!r})\n"
            f"from tests.engines.stub_slurm import {name}\n"
            f"{name}({str(folder)!r}, sys.argv[1:])\n"
        )
        program.chmod(0o755)
    return programs


def sbatch(folder: str, arguments: list[str]) -> None:
    """Start every task of the script's array, and print the job's number."""
    script = Path(arguments[-1]).resolve()
    refuse(Path(folder), script)
    jobs = Path(folder) / "jobs"
    number = str(100 + len(list(jobs.glob("*.script"))))
    (jobs / f"{number}.script").write_text(str(script))
    array = re.search(r"^#SBATCH --array=0-(\d+)", script.read_text(), re.MULTILINE)
    for task in range(int(array[1]) + 1) if array else [None]:
        _start(Path(folder), number, task)
    print(f"Submitted batch job {number}")


def refuse(folder: Path, script: Path) -> None:
    """A partition that a file names takes no jobs."""
    closed = folder / "closed"
    if closed.exists() and closed.read_text() in script.read_text():
        sys.exit("sbatch: error: Batch job submission failed: Invalid partition name specified")


def _start(folder: Path, number: str, task: int | None) -> None:
    name = number if task is None else f"{number}_{task}"
    script = (folder / "jobs" / f"{number}.script").read_text()
    environment = {
        **os.environ,
        "SLURM_JOB_ID": name if task is None else f"{number}{task:03d}",
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NTASKS": "1",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
    }
    if task is not None:
        environment |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": str(task)}
    # A job that was requeued has another process by the time the first one ends.
    last = f'[ "$(cat {name}.process)" = $$ ] && echo COMPLETED > {name}.state'
    command = f"echo RUNNING > {name}.state; bash {script}; {last}"
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder / "jobs",
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    (folder / "jobs" / f"{name}.process").write_text(str(process.pid))


def srun(folder: str, arguments: list[str]) -> None:
    """Run the command in this process: it is the one that signals are for."""
    command = [each for each in arguments if each != "--unbuffered"]
    while command[0].startswith("-"):
        command = command[1 if "=" in command[0] else 2 :]
    name = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        name = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    (Path(folder) / "jobs" / f"{name}.srun").write_text(str(os.getpid()))
    os.execvp(command[0], command)


def sacct(folder: str, arguments: list[str]) -> None:
    """The states of all jobs."""
    print("JobID|State|NodeList")
    for state in sorted((Path(folder) / "jobs").glob("*.state")):
        print(f"{state.stem}|{state.read_text().strip()}|localhost")


def scancel(folder: str, arguments: list[str]) -> None:
    """End jobs: one, or every task of an array."""
    for number in arguments:
        for process in (Path(folder) / "jobs").glob(f"{number}*.process"):
            (process.with_suffix(".state")).write_text("CANCELLED\n")
            os.killpg(int(process.read_text()), signal.SIGTERM)


def scontrol(folder: str, arguments: list[str]) -> None:
    """`scontrol requeue JOB`: start it again."""
    number, _, task = arguments[-1].partition("_")
    (Path(folder) / "jobs" / f"{arguments[-1]}.requeued").touch()
    _start(Path(folder), number, int(task) if task else None)


def preempt(folder: Path, name: str) -> None:
    """What Slurm does where it takes a node away: the signal that the script asked for."""
    process = int((folder / "jobs" / f"{name}.srun").read_text())
    os.kill(process, signal.SIGUSR2)
