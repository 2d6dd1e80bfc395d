"""How stable a study's rankings are: would another fold or another training seed say the same?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torchcross.report.text_escapes import markdown_text
from torchcross.transfer.rankings import score_quality, stability
from torchcross.transfer.results import SETUPS, StudyResults
from torchcross.transfer.source_target import SourceTargetTable
from torchcross.transfer.studies.folder import StudyFolder


def stability_lines(study: StudyFolder, results: StudyResults) -> Iterator[str]:
    """A section of a report: the order of the sources and that of the scores, set-up by set-up."""
    components = [name for name in SETUPS if len(results.setups(name)) > 1]
    if not components:
        return
    yield "\n## How stable the rankings are, from set-up to set-up\n"
    scores = study.score_results()
    for component in components:
        reached = {
            name: table.without_self_pairs() for name, table in results.setups(component).items()
        }
        against = f"{component} against {component}"
        metric = markdown_text(study.settings.study.metric)
        yield f"- Sources by {metric}, {against}: {_text_of(reached)}."
        tables = {name: each.setups(component) for name, each in scores.items()}
        for name, setups in tables.items():
            shown = markdown_text(name)
            yield f"- Sources by {shown}, {against}: {_text_of(setups)}."
        if len(tables) > 1:
            quality = {
                name: score_quality({score: each[name] for score, each in tables.items()}, values)
                for name, values in reached.items()
            }
            words = "Scores by how well they rank the sources"
            yield f"- {words}, {against}: {_text_of(quality)}."


def _text_of(setups: Mapping[str, SourceTargetTable]) -> str:
    return markdown_text(str(stability(setups)))
