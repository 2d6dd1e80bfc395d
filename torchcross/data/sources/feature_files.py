"""Files of stored features: the vectors that a backbone makes of the images of a source.

A file is a safetensors file with two tensors. `features` (images, views, width) are the vectors.
`digests` (blocks, 64) has two SHA-256 digests for each block of images that were embedded together:
of the images' bytes, and of the block's features behind them. Its metadata is one entry, a
`FeatureRecord` as JSON. A block is compared with its digest when it is first read.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, final, get_args

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross._kit.content_hash import damage_error, json_digest, split_hash, with_hash
from torchcross.errors import ReadError

FeatureType: TypeAlias = Literal["float32", "float16"]
SUFFIX = ".safetensors"
DIGEST_BYTES = 32
"""Of one SHA-256; a block has two."""

_ENTRY = "torchcross-features"
_VERSION = 1
_LONGEST_HEADER = 1 << 20
_MOST_VALUES = 1 << 48
_SAFETENSORS_TYPES = {"float32": "F32", "float16": "F16"}
_ADVICE = "remove it, and make the features again"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FeatureRecord:
    """What the features of a file are, and what they were made of.

    images, views  how many vectors there are: `views` for each image, the first of it as it is
    width          of a vector
    dtype          in the file; float16 is an approximation
    block          how many images were embedded together
    data           the fingerprint of the images
    weights        the digest of the backbone's parameters and buffers
    network        the digest of its layers and their settings, pooling among them
    preprocessing  what was done to images before the backbone saw them
    augmentation   how the further views were made; None where there is one view
    about          for people: the names of source and backbone, versions, and so on

    >>> from torchcross.data import toys
    >>> backbone = tx.backbones.conv4(8, in_channels=1)
    >>> record = tx.features(toys.binary(100, size=16), backbone).features.record
    >>> record.images, record.width, record.images_of(1)
    (100, 8, range(64, 100))
    """

    images: int
    views: int
    width: int
    dtype: FeatureType
    block: int
    data: str
    weights: str
    network: str
    preprocessing: Mapping[str, Any]
    augmentation: Mapping[str, Any] | None
    about: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The same for features that are the same: all of the record, without `about` and width."""
        return json_digest(
            {name: value for name, value in asdict(self).items() if name not in ("about", "width")}
        )

    @property
    def blocks(self) -> int:
        return -(-self.images // self.block)

    @property
    def item(self) -> np.dtype[Any]:
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def block_bytes(self) -> int:
        """Of the features of a whole block."""
        return self.block * self.views * self.width * self.item.itemsize

    def images_of(self, block: int) -> range:
        return range(block * self.block, min((block + 1) * self.block, self.images))

    def as_plain(self) -> dict[str, Any]:
        return with_hash({"version": _VERSION, **asdict(self)})

    @classmethod
    def from_plain(cls, path: Path, plain: Any) -> Self:
        """The record that `as_plain` returned; a ReadError says what is wrong with another one."""
        if not isinstance(plain, dict):
            raise _foreign(path, "its record is no table")
        values, has_hash = split_hash(path, plain, _ADVICE)
        version = values.pop("version", None)
        if not has_hash or version != _VERSION:
            raise _foreign(path, f"its record is of version {version!r}, not {_VERSION}")
        if values.keys() != {each.name for each in fields(cls)}:
            raise _foreign(path, f"its record has {sorted(values)}")
        record = cls(**values)
        record._check(path)
        return record

    def _check(self, path: Path) -> None:
        counts = (self.images, self.views, self.width, self.block)
        if not all(type(count) is int and count > 0 for count in counts):
            raise _foreign(path, f"images, views, width and block are {counts}")
        if math.prod(counts[:3]) > _MOST_VALUES or self.dtype not in get_args(FeatureType):
            raise _foreign(path, f"its features are {counts[:3]} values of {self.dtype!r}")
        digests = (self.data, self.weights, self.network)
        if not all(isinstance(text, str) and _DIGEST.fullmatch(text) for text in digests):
            raise _foreign(path, "its record has digests that are none")
        tables = (self.preprocessing, self.about, self.augmentation or {})
        if not all(isinstance(table, dict) for table in tables):
            raise _foreign(path, "its record has texts where tables belong")


def file_header(record: FeatureRecord) -> bytes:
    """All bytes of a file before its tensors: there is one header for each record."""
    digests = record.blocks * 2 * DIGEST_BYTES
    shape = [record.images, record.views, record.width]
    end = digests + math.prod(shape) * record.item.itemsize
    header = {
        "__metadata__": {_ENTRY: json.dumps(record.as_plain(), sort_keys=True)},
        "digests": {
            "dtype": "U8",
            "shape": [record.blocks, 2 * DIGEST_BYTES],
            "data_offsets": [0, digests],
        },
        "features": {
            "dtype": _SAFETENSORS_TYPES[record.dtype],
            "shape": shape,
            "data_offsets": [digests, end],
        },
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    # Values begin at a multiple of 8.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def file_size(record: FeatureRecord) -> int:
    values = record.images * record.views * record.width * record.item.itemsize
    return len(file_header(record)) + record.blocks * 2 * DIGEST_BYTES + values


def read_record(path: Path) -> FeatureRecord:
    """The record of a file of features, whether its features are whole or not."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= _LONGEST_HEADER:
                raise _foreign(path, "it does not begin as a safetensors file of features does")
            text = file.read(length)
    except OSError as error:
        raise ReadError(
            f"{path} cannot be read ({error.strerror or error}); give a file of features"
        ) from error
    try:
        record = json.loads(json.loads(text)["__metadata__"][_ENTRY])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _foreign(path, "its header has no record of features") from error
    result = FeatureRecord.from_plain(path, record)
    if file_header(result) != length.to_bytes(8, "little") + text:
        raise damage_error(path, _ADVICE)
    return result


def block_digest(image_digest: bytes, features: NDArray[Any]) -> bytes:
    """Of the features of a block, and of the digest of its images."""
    total = hashlib.sha256(image_digest)
    total.update(np.ascontiguousarray(features).view(np.uint8).data)
    return total.digest()


@final
class FeatureFile:
    """A file of features, memory-mapped; it is checked when it is opened and when it is read."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.record = read_record(self.path)
        self._map()

    def _map(self) -> None:
        size, expected = self.path.stat().st_size, file_size(self.record)
        if size != expected:
            raise ReadError(
                f"{self.path} has {size:,} bytes and its header says {expected:,}: it is cut off or"
                f" damaged; {_ADVICE}"
            )
        record, start = self.record, len(file_header(self.record))
        shape = (record.blocks, 2, DIGEST_BYTES)
        self._digests = np.memmap(self.path, np.uint8, "r", start, shape)
        start += self._digests.nbytes
        values = (record.images, record.views, record.width)
        self._features = np.memmap(self.path, record.item, "r", start, values)
        self._is_checked = np.zeros(record.blocks, dtype=np.bool_)

    def rows(self, indices: Indices, *, views: bool = False) -> NDArray[np.float32]:
        """The vectors (n, width) of images, or all their views (n, views, width), as float32."""
        for block in np.unique(indices // self.record.block).tolist():
            self._check_block(block)
        features = self._features if views else self._features[:, 0]
        rows: NDArray[np.float32] = features[indices].astype(np.float32)
        return rows

    def check(self) -> None:
        """Compare every block with its digest; raises at the first that differs."""
        for block in range(self.record.blocks):
            self._check_block(block)

    def image_digest(self, block: int) -> bytes:
        """The SHA-256 of the bytes of the images that a block was made of."""
        return bytes(self._digests[block, 0].tobytes())

    def _check_block(self, block: int) -> None:
        if self._is_checked[block]:
            return
        members = self.record.images_of(block)
        features = self._features[members.start : members.stop]
        if block_digest(self.image_digest(block), features) != self._digests[block, 1].tobytes():
            raise damage_error(self.path, _ADVICE)
        refuse_broken(features, members, str(self.path))
        self._is_checked[block] = True

    def __getstate__(self) -> dict[str, Any]:
        """Its place, to open it again in another process."""
        return {"path": self.path, "record": self.record}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self.record = state["path"], state["record"]
        if read_record(self.path) != self.record:
            raise ReadError(f"{self.path} was replaced by other features; open them again")
        self._map()

    def __repr__(self) -> str:
        record = self.record
        views = f", {record.views} views" if record.views > 1 else ""
        return (
            f"FeatureFile({str(self.path)!r}, {record.images} images{views}, {record.width}"
            f" features, {record.dtype})"
        )


def refuse_broken(features: NDArray[Any], members: range, place: str) -> None:
    """Refuse features that are NaN or infinite, and name the images."""
    broken = ~np.isfinite(features).reshape(len(features), -1).all(1)
    if broken.any():
        numbers = [members[at] for at in np.flatnonzero(broken).tolist()]
        more = f" and {len(numbers) - 10} more of this block" if len(numbers) > 10 else ""
        raise ReadError(
            f"{place}: the features of these images are NaN or infinite (positions in the source):"
            f" {', '.join(map(str, numbers[:10]))}{more}. Repair the images or leave them out, or"
            " take a backbone with finite weights"
        )


def _foreign(path: Path, reason: str) -> ReadError:
    return ReadError(f"{path} is no file of features that can be read: {reason}; {_ADVICE}")
