"""Which values of a message are sealed: the fields of the wire contract that carry the mark.

On their way such a value stands apart, with the others of its letter, and `{"sealed": 0}` in its
place. A value that stands in the open is taken as it is: the letter around it is signed.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from functools import cache

from worker import protocol, routes

# Where the messages of a task are, and what they are.
_MESSAGES: dict[str, tuple[str, type]] = {
    protocol.START_TASK: ("jobs", protocol.StartJob),
    protocol.UPDATE_TASK: ("jobs", protocol.UpdateJob),
    protocol.RUN_COMMAND_TASK: ("request", protocol.CommandRequest),
    routes.ROUTE_TASK: ("table", routes.RoutingTable),
}


def hide(task: str, arguments: Mapping[str, object]) -> tuple[dict[str, object], list[object]]:
    """Return the arguments without the values to seal, and those values."""
    hidden: list[object] = []

    def take(value: object) -> object:
        hidden.append(value)
        return {"sealed": len(hidden) - 1}

    return _exchanged(task, arguments, take), hidden


def reveal(task: str, arguments: Mapping[str, object], values: list[object]) -> dict[str, object]:
    """Return the arguments with the values back in their places.

    Raises:
        MalformedMessage: a place points at a value that is not there.
    """

    def put(place: object) -> object:
        if not isinstance(place, dict):
            return place
        number = place.get("sealed")
        if not isinstance(number, int) or not 0 <= number < len(values):
            raise protocol.MalformedMessage(f"there is no sealed value {number!r}")
        return values[number]

    return _exchanged(task, arguments, put)


def _exchanged(
    task: str, arguments: Mapping[str, object], swap: Callable[[object], object]
) -> dict[str, object]:
    changed = dict(arguments)
    if task in _MESSAGES:
        name, kind = _MESSAGES[task]
        if name in changed:
            changed[name] = _within(kind, changed[name], swap)
    return changed


def _within(kind: type, wire: object, swap: Callable[[object], object]) -> object:
    """Return the wire form of one message, or of a list of them, with marked fields exchanged."""
    if isinstance(wire, list | tuple):
        return [_within(kind, item, swap) for item in wire]
    if not isinstance(wire, Mapping):
        return wire
    changed = dict(wire)
    for name, inner in _concerned(kind).items():
        if name in changed:
            value = changed[name]
            changed[name] = swap(value) if inner is None else _within(inner, value, swap)
    return changed


@cache
def _concerned(kind: type) -> dict[str, type | None]:
    """Return the fields that are marked (None), or hold messages that have such fields."""
    hints = typing.get_type_hints(kind)
    found: dict[str, type | None] = {}
    for field in dataclasses.fields(kind):
        inner = _message_in(hints[field.name])
        if field.metadata.get("sealed"):
            found[field.name] = None
        elif inner is not None and _concerned(inner):
            found[field.name] = inner
    return found


def _message_in(hint: object) -> type | None:
    for part in (hint, *typing.get_args(hint)):
        if isinstance(part, type) and dataclasses.is_dataclass(part):
            return part
    return None
