"""Rows from packages that hold image files."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.rows import Encoded, Row, Rows
from medimeta_adapter.convert.tasks import encode_task
from medimeta_adapter.fetch.archive import Archive
from medimeta_adapter.format.info import TaskInfo
from medimeta_adapter.preprocess import DropAlpha, ExpandPalette, Grey, Recipe, Upright
from torchcross._kit.arrays import Indices
from torchcross.errors import FetchError

_CHEST = "sofiimg/datasets/pneumonia/"
_PERSON = re.compile(r"/PNEUMONIA/(person\d+)_(bacteria|virus)_[^/]*$")
_STUDY = re.compile(r"/NORMAL/((?:NORMAL2-)?IM-\d+)-[^/]*$")
_CT = "dcm_ball_detector/ground_truth/"
_SOLAR = "elpv_dataset/data/"
_GRADES = {"0.0": 0, "0.3333333333333333": 1, "0.6666666666666666": 2, "1.0": 3}
_SILICON = {"mono": 0, "poly": 1}
_DRAWINGS = "image2inchi/data/dataset/"
_COLLECTIONS = ("BMS1000", "CLEF", "JPO", "UOB", "USPTO")
_ELEMENTS = ("N", "O", "S", "Cl", "F", "Br", "P")
_ELEMENT = re.compile(r"[A-Z][a-z]?")
_ON_WHITE = Recipe([Upright(), ExpandPalette(), DropAlpha("white"), Grey()])


def chest_xray(archive: Archive) -> Rows:
    """Binary: pneumonia. Three classes: its cause. Cause and person come from the file name."""
    names = archive.under(_CHEST, ending=".jpeg")
    causes, subjects = [], []
    for name in names:
        if ill := _PERSON.search(name):
            causes.append({"bacteria": 1, "virus": 2}[ill[2]])
            subjects.append(ill[1])
        elif well := _STUDY.search(name):
            causes.append(0)
            subjects.append(well[1])
        else:
            raise FetchError(
                f"{archive.path.name} holds {name!r}, whose name says neither a person nor a study"
            )
    cause = np.array(causes)
    return _rows(
        archive,
        names,
        [
            encode_task("pneumonia", "binary", cause > 0, ["normal", "pneumonia"]),
            encode_task(
                "cause", "multiclass", cause, ["normal", "bacterial pneumonia", "viral pneumonia"]
            ),
        ],
        subjects=subjects,
        original_splits=[name.removeprefix(_CHEST).split("/")[0] for name in names],
    )


def ct_patches(archive: Archive) -> Rows:
    """Binary: is there a marker?"""
    names = archive.under(f"{_CT}neg/", ending=".png") + archive.under(f"{_CT}pos/", ending=".png")
    marker = np.array([name.startswith(f"{_CT}pos/") for name in names])
    return _rows(archive, names, [encode_task("marker", "binary", marker, ["no marker", "marker"])])


def solar_cells(archive: Archive) -> Rows:
    """Ordinal: probability of a defect; binary: type of silicon."""
    lines = [
        line.split() for line in _text(archive, f"{_SOLAR}labels.csv").splitlines() if line.strip()
    ]
    names, grades, types = [], [], []
    for number, line in enumerate(lines, 1):
        if len(line) != 3 or line[1] not in _GRADES or line[2] not in _SILICON:
            raise FetchError(
                f"labels.csv in {archive.path.name}, line {number}: {line}; expected path,"
                " probability, type"
            )
        names.append(_SOLAR + line[0])
        grades.append(_GRADES[line[1]])
        types.append(_SILICON[line[2]])
    return _rows(
        archive,
        names,
        [
            encode_task("defect probability", "ordinal", grades, ["0", "1/3", "2/3", "1"]),
            encode_task("silicon", "binary", types, ["monocrystalline", "polycrystalline"]),
        ],
    )


def molecules(archive: Archive) -> Rows:
    """Multi-label: elements of the molecule beside carbon and hydrogen. The molecule is the
    subject.
    """
    names, elements, subjects = [], [], []
    for collection in _COLLECTIONS:
        table = f"{_DRAWINGS}{collection}/{collection}_inchi.csv"
        for entry in csv.DictReader(io.StringIO(_text(archive, table), newline="")):
            inchi, image = entry.get("InChI") or "", entry.get("img_name") or ""
            parts = inchi.split("/")
            if len(parts) < 2 or PurePosixPath(image).name != image:
                raise FetchError(
                    f"{table} in {archive.path.name}: {inchi!r:.60}, {image!r:.60} is no formula"
                    " and image"
                )
            present = set(_ELEMENT.findall(parts[1]))
            names.append(f"{_DRAWINGS}{collection}/images/{image}")
            elements.append([element in present for element in _ELEMENTS])
            subjects.append(hashlib.sha256(inchi.encode()).hexdigest()[:16])
    tasks = [encode_task("elements", "multilabel", elements, _ELEMENTS)]
    return _rows(archive, names, tasks, subjects=subjects, row=_Inverted)


@dataclass(frozen=True)
class _Inverted:
    """A drawing on white, as light on black: the margins that padding adds are background then."""

    content: bytes

    def pixels(self) -> NDArray[Any]:
        return 255 - _ON_WHITE(Encoded(self.content).pixels())

    def digest(self) -> bytes:
        return Encoded(self.content).digest()


def _rows(
    archive: Archive,
    names: list[str],
    tasks: Sequence[tuple[TaskInfo, NDArray[np.int64]]],
    *,
    subjects: list[str] | None = None,
    original_splits: list[str] | None = None,
    row: Callable[[bytes], Row] = Encoded,
) -> Rows:
    return Rows(
        kind=archive.path.name,
        tasks=tuple(info for info, _ in tasks),
        labels={info.name: values for info, values in tasks},
        read=partial(_read, archive, names, row),
        channels=1,
        names=names,
        subjects=_as_texts(subjects),
        original_splits=_as_texts(original_splits),
    )


def _as_texts(values: Sequence[str] | None) -> NDArray[np.str_] | None:
    return None if values is None else np.array(values)


def _read(
    archive: Archive, names: list[str], row: Callable[[bytes], Row], places: Indices
) -> Iterator[Row]:
    return (row(archive.read(names[place])) for place in places.tolist())


def _text(archive: Archive, name: str) -> str:
    try:
        return archive.read(name).decode()
    except UnicodeDecodeError as error:
        raise FetchError(f"{name!r} in {archive.path.name} is no UTF-8 text: {error}") from error
