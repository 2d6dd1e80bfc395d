"""How far a search is, read from its folder alone: from any process of any machine that sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torchcross._kit.counts import count_text
from torchcross.experiment.run.job_lines import job_lines, process_lines
from torchcross.experiment.tuning.folder import CHOSEN, TRIALS, TuneFolder
from torchcross.jobs import JobFolder, JobStatus, job_status


@dataclass(frozen=True)
class SearchStatus:
    """The trials that a search has and is to have, and the units that are under way.

    A unit is the trials of a row that share a training. `trials` is None while no process has said
    how many there are.
    """

    folder: Path
    trials_done: int
    trials: int | None
    has_choice: bool
    job: JobStatus

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.trials is None:
            yield from self._lines_of_beginning()
        else:
            count = count_text(self.trials, "trials")
            yield f"{self.folder}: {self.trials_done} of {count} are done"
        left = [] if self.trials is None else list(job_lines(self.job, "torchcross tune"))
        yield from left
        if self.has_choice and not left:
            yield f"the chosen settings are in {self.folder / CHOSEN}"

    def _lines_of_beginning(self) -> Iterator[str]:
        """Who is about to say the trials, or how to begin."""
        words = f"{self.folder}: no trial is done"
        yield from process_lines(self.job, words, "torchcross tune")
        if not self.job.processes:
            yield f"{words}; give the same `torchcross tune` again to begin"


def search_status(folder: str | Path) -> SearchStatus:
    """Look at a search; nothing is written."""
    search = TuneFolder(folder)
    done = {f"{TRIALS}/{file.name}" for file in (search.path / TRIALS).glob("*.json")}
    # Units are known as long as some are left.
    wanted = {place for unit in JobFolder(folder).units() for place in unit.results}
    trials = max(len(done | wanted), _trials_of_choice(search))
    has_choice = (search.path / CHOSEN).is_file()
    return SearchStatus(search.path, len(done), trials or None, has_choice, job_status(folder))


def _trials_of_choice(search: TuneFolder) -> int:
    """How many trials the chosen settings are to come from: 0 while there are none."""
    about = search.plain(CHOSEN).get("about", {})
    if not about:
        return 0
    sources = set(about["sources"].values())
    return len(sources) * len(about["order of rows"]) * int(about["trials"])
