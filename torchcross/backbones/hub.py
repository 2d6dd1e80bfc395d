"""Files of a model on the Hugging Face hub, in its cache, or in a folder that was copied.

Files come through the hub's own client: its cache, its log-in, HF_HUB_OFFLINE and HF_ENDPOINT hold.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, final

from torchcross._kit.user_files import check_regular
from torchcross.backbones.foreign import import_package
from torchcross.backbones.weight_files import read_entries
from torchcross.errors import FetchError, InputError, TorchcrossError

_INDEX = ".index.json"
_MOST_CARD = 1 << 20


class ModelFiles(Protocol):
    """Where the files of one model are, and what is known of them.

    label      what error texts and records call it
    revision   the commit, where it is known
    """

    @property
    def label(self) -> str: ...

    @property
    def revision(self) -> str | None: ...

    def file(self, name: str) -> Path | None:
        """The file of this name; None if there is none, or if the hub cannot be reached for it."""

    def refuse_unreached(self, *names: str) -> None:
        """Raise where the hub was asked for one of these files and could not be reached."""


@final
class FolderFiles:
    """A folder with the files of a hub's repository."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder).expanduser()
        if not self._folder.is_dir():
            raise InputError(
                f"there is no folder {folder!r}; give one that holds the files of a model, or the"
                " name of a repository, such as org/name"
            )
        self.label = str(folder)

    @property
    def revision(self) -> str | None:
        """The commit, if the folder stands in the hub's cache."""
        return _commit(self._folder.resolve() / "x")

    def file(self, name: str) -> Path | None:
        path = self._folder / name
        return path if path.is_file() else None

    def refuse_unreached(self, *names: str) -> None:
        """Nothing to raise: what a folder lacks is not there."""


@final
class HubFiles:
    """A repository of the hub. All files are of the commit that the first one came from."""

    def __init__(
        self, name: str, revision: str | None, cache: str | Path | None, user: str
    ) -> None:
        self.label = name
        self.revision = revision
        self._cache, self._user = cache, user
        self._unreached: dict[str, Exception] = {}
        self._hub: Any = import_package("huggingface_hub", user)

    def file(self, name: str) -> Path | None:
        missing = self._hub.errors.EntryNotFoundError
        try:
            path = Path(
                self._hub.hf_hub_download(
                    self.label, name, revision=self.revision, cache_dir=self._cache
                )
            )
        except missing as error:
            if isinstance(error, self._hub.errors.LocalEntryNotFoundError):
                self._unreached[name] = error
            if self._is_first:
                self.refuse_unreached(name)
            return None
        except Exception as error:
            raise FetchError(self._message(name, error)) from error
        self._is_first = False
        self.revision = _commit(path) or self.revision
        return path

    _is_first = True

    def refuse_unreached(self, *names: str) -> None:
        for name in names:
            if error := self._unreached.get(name):
                raise FetchError(self._message(name, error)) from error

    def _message(self, file: str, error: Exception) -> str:
        errors, where = self._hub.errors, f"{file} of {self.label!r}"
        if isinstance(error, errors.GatedRepoError):
            return (
                f"{where} is for people who accepted its terms: accept them on the page of the"
                " repository, log in by `hf auth login`, and try again"
            )
        if isinstance(error, errors.RepositoryNotFoundError):
            return (
                f"the hub has no repository {self.label!r}, or it is private: check the name, and"
                " log in by `hf auth login` for one of your own"
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return (
                f"{self.label!r} has no revision {self.revision!r}; see its page for those it has"
            )
        if isinstance(error, errors.HFValidationError):
            return f"{self.label!r} is no name of a repository, which is org/name: {_first(error)}"
        cache = self._cache or self._hub.constants.HF_HUB_CACHE
        revision = f" --revision {self.revision}" if self.revision else ""
        return (
            f"{where} is not in {cache}, and the hub cannot be reached ({type(error).__name__}:"
            f" {_first(error)}). On a machine that reaches it, run `hf download"
            f" {self.label}{revision} --local-dir FOLDER`, copy FOLDER here, and give its path in"
            " place of the name"
        )


def model_files(name: str, revision: str | None, cache: str | Path | None, user: str) -> ModelFiles:
    """The files of a folder, if `name` is one, or of a repository."""
    if not is_folder(name):
        return HubFiles(name, revision, cache, user)
    if revision is not None:
        raise InputError(f"revision={revision!r} is for repositories, and {name!r} is a folder")
    return FolderFiles(name)


def is_folder(name: str) -> bool:
    """Whether a name is a path: it looks like one, or there is such a folder."""
    return name.startswith((".", "/", "~", "\\")) or name[1:2] == ":" or Path(name).is_dir()


def required_file(files: ModelFiles, name: str) -> Path:
    path = files.file(name)
    if path is None:
        files.refuse_unreached(name)
        raise InputError(
            f"{files.label!r} has no {name}, so it is not a model of this library; see which files"
            " it has, and which library they are for"
        )
    return path


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a model."""
    try:
        check_regular(path)
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read as JSON ({_first(error)}); fetch it again"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not names and values")
    return content


def find_weights(files: ModelFiles, candidates: Sequence[str]) -> tuple[Path, ...]:
    """The file of weights that comes first among the candidates; all parts of it, if it is split.

    A split file is named by its index, `model.safetensors.index.json`, which comes first.
    """
    for name in candidates:
        path = files.file(name)
        if path is None:
            continue
        if not name.endswith(_INDEX):
            return (path,)
        parts = read_json(path).get("weight_map")
        names = sorted(set(parts.values())) if isinstance(parts, dict) else []
        if not names or not all(isinstance(part, str) and _is_name(part) for part in names):
            raise InputError(f"{path} does not say which files hold the weights; fetch it again")
        return (path, *(required_file(files, part) for part in names))
    # The index is of split weights alone, so it is named last.
    files.refuse_unreached(*sorted(candidates, key=lambda name: name.endswith(_INDEX)))
    raise InputError(f"{files.label!r} has no weights; expected one of {', '.join(candidates)}")


def weights_digest(paths: Sequence[Path]) -> str:
    """The sha256 of the files, one after the other. Files of torch must hold tensors alone."""
    total = hashlib.sha256()
    for path in paths:
        if path.suffix in (".bin", ".pth", ".pt"):
            read_entries(path, None)
        try:
            check_regular(path)
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    total.update(block)
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    return total.hexdigest()


def licence_of(files: ModelFiles) -> str | None:
    """The licence that the model's card states."""
    path = files.file("README.md")
    if path is None or path.stat().st_size > _MOST_CARD:
        return None
    card = path.read_text(encoding="utf-8", errors="replace").split("---")
    head = card[1] if len(card) > 2 and not card[0].strip() else ""
    licence, name = (_card_value(head, key) for key in ("license", "license_name"))
    return name if licence in (None, "other") and name else licence


def place_of(files: ModelFiles) -> str:
    """Where the files come from, for a record; a folder by its name, for paths differ."""
    if isinstance(files, HubFiles):
        return f"huggingface.co/{files.label}"
    return f"the folder {shown_name(files.label)}"


def shown_name(name: str) -> str:
    """A name of a repository, or the last part of a path."""
    return Path(name).expanduser().resolve().name if is_folder(name) else name


def explain_misfit(label: str, load: Callable[[], Any]) -> Any:
    """What `load` returns; errors of other packages' loaders say which weights do not fit."""
    try:
        return load()
    except TorchcrossError:
        raise
    except Exception as error:
        raise InputError(
            f"the weights of {label!r} do not fit the network ({type(error).__name__}:"
            f" {' '.join(str(error).split())[:400]}); give the options that they were made with, or"
            " fetch the files again if they are damaged"
        ) from error


def _card_value(head: str, key: str) -> str | None:
    match = re.search(rf"^{key}:[ \t]*['\"]?([^\s'\"#]+)", head, re.MULTILINE)
    return match[1] if match else None


def _commit(path: Path) -> str | None:
    """The commit in a path of the hub's cache: models--org--name/snapshots/COMMIT/file."""
    parts = path.parts
    if "snapshots" not in parts:
        return None
    commit = parts[parts.index("snapshots") + 1 :][:1]
    return commit[0] if commit and re.fullmatch("[0-9a-f]{40}", commit[0]) else None


def _is_name(part: str) -> bool:
    return bool(re.fullmatch(r"[\w.-]+", part)) and not part.startswith(".")


def _first(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:200]
