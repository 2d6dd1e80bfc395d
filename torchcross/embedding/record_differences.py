"""What differs between stored features and those that are needed, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

from torchcross.data.sources.feature_files import FeatureRecord

_NOT_OF_THE_KEY: Final = ("about", "width")
_DIGESTS: Final = ("data", "weights", "network")
_CHANNELS: Final = ("backbone.options.in_channels", "backbone.options.in_chans")
_SHOWN: Final = 4


def differing_parts(there: FeatureRecord, here: FeatureRecord) -> list[str]:
    """The names of the parts of the key that differ."""
    stored, wanted = asdict(there), asdict(here)
    names = [name for name in stored if stored[name] != wanted[name]]
    return [name for name in names if name not in _NOT_OF_THE_KEY]


def differences_in_words(there: FeatureRecord, here: FeatureRecord) -> str:
    """The parts that differ, and the values that say why; "" where the features are the same.

    Images, weights and layers are known by digests alone: the channels and the backbone's
    description stand for what they are of.
    """
    parts = differing_parts(there, here)
    if not parts:
        return ""
    values = list(_values_in_words(there, here))
    more = f"; and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    text = f": {'; '.join(values[:_SHOWN])}{more}" if values else ""
    return f"{', '.join(parts)}{text}"


def channels_of(record: FeatureRecord) -> int | None:
    """The channels of the images, by the backbone's description or by what normalised them."""
    values = dict(_flat(record.about))
    for name in _CHANNELS:
        if isinstance(values.get(name), int):
            return int(values[name])
    return len(record.preprocessing.get("mean") or ()) or None


def _values_in_words(there: FeatureRecord, here: FeatureRecord) -> Iterator[str]:
    stored, wanted = _readable_values(there), _readable_values(here)
    channels = channels_of(there), channels_of(here)
    has_other_channels = None not in channels and channels[0] != channels[1]
    if has_other_channels:
        yield f"images have {channels[0]} channels there and {channels[1]} here"
    for name in sorted(stored.keys() | wanted.keys()):
        # The normalisation follows from the channels.
        follows = name in _CHANNELS or name.startswith("preprocessing.")
        if stored.get(name) != wanted.get(name) and not (has_other_channels and follows):
            yield f"{name} is {stored.get(name)!r} there and {wanted.get(name)!r} here"


def _readable_values(record: FeatureRecord) -> dict[str, Any]:
    """Values by dotted names, without digests and without what the key leaves out."""
    plain = asdict(record)
    about = plain["about"]
    left_out = (*_NOT_OF_THE_KEY, *_DIGESTS)
    values = {name: value for name, value in plain.items() if name not in left_out}
    return dict(_flat({**values, "backbone": about.get("backbone")}))


def _flat(values: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", list(value) if isinstance(value, tuple) else value
