"""Messages as JSON objects, and back.

Fields at their default are left out. Unknown fields are ignored, missing optional ones take their
default, so that one release of skew works.

Invariants: `from_wire(to_wire(x)) == x`; `from_wire` raises `MalformedMessage` and nothing else.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import NewType, TypeVar

VERSION = 1
# A field with this mark is read by nobody but the node it is for (worker/sealing.py).
SEALED = types.MappingProxyType({"sealed": True})


class MalformedMessage(ValueError):
    """A message that does not have the shape this version understands."""


class NewerVersion(MalformedMessage):
    """A message of a protocol that only a newer release understands."""


Message = TypeVar("Message")


def to_wire(message: object) -> dict[str, object]:
    """Return the JSON object for any message here, leaving out fields at their default."""
    if not dataclasses.is_dataclass(message) or isinstance(message, type):
        raise TypeError(f"{message!r} is not a protocol message")
    wire: dict[str, object] = {}
    for one in dataclasses.fields(message):
        value = getattr(message, one.name)
        if one.name == "version" or value != one.default:
            wire[one.name] = _plain(value)
    return wire


def from_wire(kind: type[Message], wire: object) -> Message:
    """Read one message of the given kind from a decoded JSON object.

    Raises:
        NewerVersion: it says that it is of a newer version.
        MalformedMessage: a field is missing or has the wrong type.
    """
    if not isinstance(wire, Mapping):
        raise MalformedMessage(f"{kind.__name__}: expected an object, got {type(wire).__name__}")
    version = wire.get("version", VERSION)
    if "version" in _hints(typing.cast(typing.Hashable, kind)) and (
        not isinstance(version, int) or version > VERSION
    ):
        raise NewerVersion(
            f"{kind.__name__}: it speaks protocol version {version!r}, and this release "
            f"understands no more than {VERSION}; upgrade this side first"
        )
    values: dict[str, object] = {}
    for name, hint in _hints(typing.cast(typing.Hashable, kind)).items():
        if name in wire:
            values[name] = _typed(hint, wire[name], f"{kind.__name__}.{name}")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise MalformedMessage(f"{kind.__name__}: {error}") from error


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return to_wire(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    return value


@cache
def _hints(kind: typing.Hashable) -> dict[str, object]:
    return typing.get_type_hints(kind)


def _typed(hint: object, value: object, path: str) -> object:
    """Return `value` as the type the hint names; the hints used here are a small closed set."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        inner = next(arg for arg in typing.get_args(hint) if arg is not type(None))
        return _typed(inner, value, path)
    if origin is dict:
        if not isinstance(value, dict):
            raise MalformedMessage(f"{path}: expected an object, got {type(value).__name__}")
        return value
    if origin is tuple:
        return _typed_tuple(typing.get_args(hint), value, path)
    if isinstance(hint, NewType):
        hint = hint.__supertype__
    return _typed_scalar(hint, value, path)


def _typed_tuple(arguments: tuple[object, ...], value: object, path: str) -> object:
    if not isinstance(value, list | tuple):
        raise MalformedMessage(f"{path}: expected a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_typed(arguments[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise MalformedMessage(f"{path}: expected {len(arguments)} items, got {len(value)}")
    return tuple(
        _typed(hint, item, f"{path}[{i}]")
        for i, (hint, item) in enumerate(zip(arguments, value, strict=True))
    )


def _typed_scalar(hint: object, value: object, path: str) -> object:
    if not isinstance(hint, type):
        raise TypeError(f"{path}: the protocol cannot carry {hint!r}")
    if dataclasses.is_dataclass(hint):
        return from_wire(hint, value)
    if issubclass(hint, StrEnum):
        try:
            return hint(str(value))
        except ValueError:
            raise MalformedMessage(f"{path}: {value!r} is not one of {list(hint)}") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise MalformedMessage(f"{path}: expected {hint.__name__}, got {type(value).__name__}")
    return value
