"""The published MedIMeta datasets: one zip each, from the record of the publication."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from medimeta_adapter.fetch.client import (
    keep_others_out,
    remove_old_lock,
    remove_working_folder,
    working_folder,
)
from medimeta_adapter.fetch.folders import make_folder, old_folder, replace_folder
from medimeta_adapter.fetch.outcomes import FetchOutcome, FetchReport
from medimeta_adapter.fetch.published_archive import fetch_archive, import_pooch
from medimeta_adapter.fetch.published_record import (
    DOI,
    RECORD,
    SERVER,
    PublishedRecord,
    api_address,
    file_address,
    parse_record,
)
from medimeta_adapter.fetch.published_sizes import (
    PublishedDataset,
    check_room,
    describe_dataset,
    part_of,
)
from medimeta_adapter.fetch.resumed_download import (
    HttpClient,
    Patience,
    Unreachable,
    state_of,
)
from medimeta_adapter.fetch.unpacking import unpack_dataset
from medimeta_adapter.format.dataset import MedIMetaDataset
from medimeta_adapter.synthetic import catalog
from torchcross._kit.suggestions import suggest
from torchcross._kit.user_files import read_user_file
from torchcross._kit.whole_files import remove_abandoned, write_whole
from torchcross.errors import FetchError, InputError, TorchcrossError, WriteError

DOWNLOADS = ".downloads"
"""The folder beside the datasets that archives are kept in while they are needed."""

_RECORD_FILE = "record.json"
Tell = Callable[[str, int, int], object]
"""Called with a dataset's id or a part of the work on it, the bytes done, and those in all."""


class PublishedData:
    """What the record offers, and a folder to fetch it to; `read_published` makes one."""

    def __init__(
        self, out: Path, record: PublishedRecord, client: HttpClient, description: bytes | None
    ) -> None:
        self.record = record
        self._out, self._client, self._description = out, client, description
        self._downloads = out / DOWNLOADS

    @property
    def is_online(self) -> bool:
        """Whether the server itself described the record just now."""
        return self._description is not None

    def datasets(self, only: Iterable[str] | None = None) -> tuple[PublishedDataset, ...]:
        """The datasets with these ids; by default, those of the catalogue that the record has."""
        files = {file.name.removesuffix(".zip"): file for file in self.record.files}
        zips = {name: file for name, file in files.items() if file.name == f"{name}.zip"}
        known = [name for name in zips if name in catalog.datasets]
        ids = known if only is None else _ids(only)
        for name in ids:
            if name not in zips:
                raise InputError(f"the record has no dataset {name!r}; {suggest(name, zips)}")
        if not ids:
            raise InputError(
                f"the record {self.record.doi or self.record.id} has no dataset of MedIMeta; it has"
                f" {', '.join(file.name for file in self.record.files) or 'no file'}"
            )
        return tuple(describe_dataset(name, zips[name]) for name in ids)

    def fetch(
        self,
        only: Iterable[str] | None = None,
        *,
        overwrite: bool = False,
        keep_archives: bool = False,
        progress: Tell | None = None,
    ) -> FetchReport:
        """Fetch datasets into `out/<id>`; one that fails is reported, and the others go on.

        A dataset that is there stays, unless `overwrite` is true. Archives go when they are
        unpacked, unless `keep_archives` is true.
        """
        datasets = self.datasets(only)
        tell = progress or (lambda name, done, total: None)
        self._remove_unfinished(datasets)
        missing = [each for each in datasets if overwrite or not self._is_present(each)]
        if missing:
            make_folder(self._downloads)
            check_room(self._downloads, missing, keep_archives=keep_archives)
            self._keep_description()
        outcomes = []
        for dataset in datasets:
            if dataset not in missing:
                self._remove_leftovers(dataset, keep_archives)
                outcomes.append(self._outcome(dataset, "present", self._difference(dataset)))
                continue
            try:
                self._fetch_one(dataset, keep_archives, tell)
                version = f", version {self.record.version}" if self.record.version else ""
                reason = f": from {self.record.doi or self.record.id}{version}"
                outcomes.append(self._outcome(dataset, "made", reason))
            except TorchcrossError as error:
                outcomes.append(self._outcome(dataset, "failed", str(error)))
            except OSError as error:
                reason = f"{self._out / dataset.id}: {error.strerror or error}; what has arrived is"
                outcomes.append(self._outcome(dataset, "failed", f"{reason} kept, run it again"))
        return FetchReport(tuple(outcomes))

    def _keep_description(self) -> None:
        path = self._downloads / _RECORD_FILE
        try:
            if self._description is not None:
                write_whole(path, self._description)
        except OSError as error:
            raise WriteError(f"{path} cannot be written ({error.strerror or error})") from error

    def _is_present(self, dataset: PublishedDataset) -> bool:
        return (self._out / dataset.id / "info.yaml").is_file()

    def _origin(self, dataset: PublishedDataset) -> Path:
        return self._downloads / f"{dataset.id}.json"

    def _note_origin(self, dataset: PublishedDataset) -> None:
        file = dataset.file
        origin = {
            "doi": self.record.doi,
            "version": self.record.version,
            "file": file.name,
            "size": file.size,
            "checksum": file.checksum,
        }
        write_whole(self._origin(dataset), json.dumps(origin, indent=2) + "\n")

    def _difference(self, dataset: PublishedDataset) -> str:
        """The end of a sentence about a dataset that came from another file of the record."""
        try:
            origin = json.loads(read_user_file(self._origin(dataset)))
            is_same = origin["checksum"] == dataset.file.checksum
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        return "" if is_same else ", of another version; overwrite=True (--overwrite) replaces it"

    def _unpacking_folder(self, dataset: PublishedDataset) -> Path:
        return self._out / f".{dataset.id}.fetching"

    def _outcome(self, dataset: PublishedDataset, state: Any, reason: str = "") -> FetchOutcome:
        folder, licence = self._out / dataset.id, dataset.license
        if state != "failed":
            # What the dataset itself says counts more than the catalogue.
            try:
                licence = MedIMetaDataset(folder).info.license or licence
            except TorchcrossError as error:
                return FetchOutcome(dataset.id, "failed", folder, licence, str(error))
        return FetchOutcome(dataset.id, state, folder, licence, reason)

    def _fetch_one(self, dataset: PublishedDataset, keep: bool, tell: Tell) -> None:
        folder = self._out / dataset.id
        with (
            keep_others_out(self._downloads),
            working_folder(self._unpacking_folder(dataset)) as new,
        ):
            archive = fetch_archive(
                self._client, self._downloads, dataset, partial(tell, dataset.id)
            )
            unpack_dataset(
                archive,
                new,
                most_bytes=dataset.most_bytes,
                most_members=dataset.most_members,
                progress=partial(tell, f"{dataset.id}, unpacking"),
            )
            MedIMetaDataset(new)
            replace_folder(folder, new, lambda: self._note_origin(dataset))
            if not keep:
                archive.unlink()

    def _remove_unfinished(self, datasets: Iterable[PublishedDataset]) -> None:
        """Remove small files that a process was killed over."""
        if self._downloads.is_dir():
            states = [state_of(part_of(self._downloads, dataset)) for dataset in datasets]
            origins = [self._origin(dataset) for dataset in datasets]
            for path in (self._downloads / _RECORD_FILE, *states, *origins):
                with suppress(OSError):
                    remove_abandoned(path)

    def _remove_leftovers(self, dataset: PublishedDataset, keep: bool) -> None:
        """Remove what a process left that was killed when the dataset had its name already."""
        remove_working_folder(self._unpacking_folder(dataset))
        remove_old_lock(self._downloads)
        with suppress(OSError):
            shutil.rmtree(old_folder(self._out / dataset.id), ignore_errors=True)
            if not keep and self._origin(dataset).is_file() and not self._difference(dataset):
                (self._downloads / dataset.file.name).unlink(missing_ok=True)


def read_published(
    out: str | Path,
    *,
    only: Iterable[str] | None = None,
    server: str = SERVER,
    record: str = RECORD,
    timeout: float = 60,
    wait: Callable[[float], object] | None = None,
) -> PublishedData:
    """Ask the server which datasets the record has; nothing else is fetched.

    server   of the record, or one that answers as it does
    record   its number; that of all versions leads to the newest one
    timeout  seconds without an answer, or without a byte of it
    only     ids that the advice names if the server cannot be reached; then a description that is
             in `out/.downloads` already serves
    """
    out = Path(out)
    if not re.fullmatch(r"https?://\S+", server):
        raise InputError(f"server={server!r} is no address; give one such as {SERVER}")
    if not re.fullmatch(r"[0-9]{1,20}", record):
        raise InputError(f"record={record!r} is no number of a record; give one such as {RECORD}")
    import_pooch()
    patience = Patience(timeout=timeout) if wait is None else Patience(timeout=timeout, wait=wait)
    client = HttpClient(patience)
    place = out / DOWNLOADS / _RECORD_FILE
    try:
        content = client.read(api_address(server, record))
    except Unreachable as error:
        if not place.is_file():
            raise FetchError(_advice(server, record, place, only, error)) from error
        return PublishedData(out, parse_record(read_user_file(place), server), client, None)
    return PublishedData(out, parse_record(content, server), client, content)


def fetch_medimeta(
    out: str | Path,
    *,
    only: Iterable[str] | None = None,
    server: str = SERVER,
    record: str = RECORD,
    overwrite: bool = False,
    keep_archives: bool = False,
    timeout: float = 60,
    progress: Tell | None = None,
) -> FetchReport:
    """Fetch published datasets into `out/<id>`: `read_published`, then `PublishedData.fetch`."""
    ids = None if only is None else _ids(only)
    published = read_published(out, only=ids, server=server, record=record, timeout=timeout)
    return published.fetch(ids, overwrite=overwrite, keep_archives=keep_archives, progress=progress)


def _advice(
    server: str, record: str, place: Path, only: Iterable[str] | None, error: Exception
) -> str:
    """What to do where the server cannot be reached."""
    names = list(catalog.datasets) if only is None else _ids(only)
    archive = file_address(server, record, "ID.zip")
    return (
        f"{server} cannot be reached ({error}). On a machine that reaches it, download"
        f" {api_address(server, record)} as {place.name}, and {archive} as ID.zip for each ID of"
        f" {', '.join(names)}; put these files into {place.parent.absolute()}, and run the same"
        f" again: they are checked and unpacked. The page of the record is https://doi.org/{DOI}"
    )


def _ids(only: Iterable[str]) -> list[str]:
    """Each id once; a single text is one id."""
    return list(dict.fromkeys([only] if isinstance(only, str) else only))
