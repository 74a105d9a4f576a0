"""Messages as JSON objects, and back.

Fields at their default are left out. Unknown fields are ignored, missing optional ones take their
default, so that one release of skew works.

Invariants: `from_wire(to_wire(x)) == x`; `from_wire` raises `MalformedMessage` and nothing else.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache, partial
from typing import NewType, TypeVar

VERSION = 1
# A field with this mark is read by nobody but the node it is for (worker/sealing.py).
SEALED = types.MappingProxyType({"sealed": True})


class MalformedMessage(ValueError):
    """A message that does not have the shape this version understands."""


class NewerVersion(MalformedMessage):
    """A message of a protocol that only a newer release understands."""

    def __init__(self, kind: str, version: object) -> None:
        self.version = version
        super().__init__(
            f"{kind}: it speaks protocol version {version!r}, and this release "
            f"understands no more than {VERSION}; upgrade this side first"
        )


Message = TypeVar("Message")
# Makes a value of a field of what stands on the wire; the text says which field, for complaints.
Reader = Callable[[object, str], object]
_PLAIN = frozenset({str, int, float, bool, type(None)})


def to_wire(message: object) -> dict[str, object]:
    """Return the JSON object for any message here, leaving out fields at their default."""
    if not dataclasses.is_dataclass(message) or isinstance(message, type):
        raise TypeError(f"{message!r} is not a protocol message")
    wire: dict[str, object] = {}
    for name, default in _defaults(type(message)):
        value = getattr(message, name)
        if value != default:
            wire[name] = value if type(value) in _PLAIN else _plain(value)
    return wire


def from_wire(kind: type[Message], wire: object) -> Message:
    """Read one message of the given kind from a decoded JSON object.

    Raises:
        NewerVersion: it says that it is of a newer version.
        MalformedMessage: a field is missing or has the wrong type.
    """
    if not isinstance(wire, Mapping):
        raise MalformedMessage(f"{kind.__name__}: expected an object, got {type(wire).__name__}")
    readers = _readers(typing.cast(typing.Hashable, kind))
    version = wire.get("version", VERSION)
    if (not isinstance(version, int) or version > VERSION) and "version" in readers:
        raise NewerVersion(kind.__name__, version)
    values: dict[str, object] = {}
    for name, (read, path) in readers.items():
        if name in wire:
            values[name] = read(wire[name], path)
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise MalformedMessage(f"{kind.__name__}: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    return to_wire(value) if dataclasses.is_dataclass(value) else value


@cache
def _defaults(kind: type) -> tuple[tuple[str, object], ...]:
    """Return the fields of a message with what they need not say; the version is always said."""
    return tuple(
        (one.name, dataclasses.MISSING if one.name == "version" else one.default)
        for one in dataclasses.fields(kind)
    )


@cache
def _readers(kind: typing.Hashable) -> dict[str, tuple[Reader, str]]:
    """Return what reads each field of a message, and how a complaint names the field."""
    name = getattr(kind, "__name__", "")
    hints = typing.get_type_hints(kind)
    return {field: (_reader(hint), f"{name}.{field}") for field, hint in hints.items()}


@cache
def _reader(hint: typing.Hashable) -> Reader:
    """Return what reads a value of the type; those that are used here are a small closed set."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = next(arg for arg in arguments if arg is not type(None))
        return partial(_maybe, _reader(inner))
    if origin is dict:
        return _object
    if origin is tuple:
        return _tuple_reader(arguments)
    if isinstance(hint, NewType):
        return _reader(hint.__supertype__)
    if not isinstance(hint, type):
        raise TypeError(f"the protocol cannot carry {hint!r}")
    if dataclasses.is_dataclass(hint):
        return partial(_message, hint)
    return partial(_word if issubclass(hint, StrEnum) else _scalar, hint)


def _tuple_reader(arguments: tuple[typing.Hashable, ...]) -> Reader:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return partial(_many, _reader(arguments[0]))
    return partial(_some, tuple(_reader(arg) for arg in arguments))


def _maybe(read: Reader, value: object, path: str) -> object:
    return None if value is None else read(value, path)


def _object(value: object, path: str) -> object:
    if not isinstance(value, dict):
        raise MalformedMessage(f"{path}: expected an object, got {type(value).__name__}")
    return value


def _many(read: Reader, value: object, path: str) -> object:
    if not isinstance(value, list | tuple):
        raise MalformedMessage(f"{path}: expected a list")
    try:
        return tuple([read(item, path) for item in value])
    except MalformedMessage:
        # Again, with the place in the list, which nobody needs to know of what is well.
        return tuple(read(item, f"{path}[{i}]") for i, item in enumerate(value))


def _some(readers: Sequence[Reader], value: object, path: str) -> object:
    if not isinstance(value, list | tuple):
        raise MalformedMessage(f"{path}: expected a list")
    if len(value) != len(readers):
        raise MalformedMessage(f"{path}: expected {len(readers)} items, got {len(value)}")
    pairs = enumerate(zip(readers, value, strict=True))
    return tuple(read(item, f"{path}[{i}]") for i, (read, item) in pairs)


def _message(kind: type, value: object, path: str) -> object:
    del path
    return from_wire(kind, value)


def _word(kind: type[StrEnum], value: object, path: str) -> object:
    try:
        return kind(str(value))
    except ValueError:
        raise MalformedMessage(f"{path}: {value!r} is not one of {list(kind)}") from None


def _scalar(kind: type, value: object, path: str) -> object:
    if type(value) is kind:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise MalformedMessage(f"{path}: expected {kind.__name__}, got {type(value).__name__}")
    return value
