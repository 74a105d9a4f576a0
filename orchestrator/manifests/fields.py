"""The kinds of field a manifest can have; each checks a written value and completes it.

`complete` returns the value with defaults filled in, written keys first. Faults go to `Findings`.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.manifests import quantities, unsupported
from orchestrator.manifests.problems import Findings, Path, name_type, quoted, shown

ABSENT: Any = object()


class Kind(Protocol):
    """One kind of value."""

    @property
    def label(self) -> str:
        """Return how the manifest reference names it."""

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check a value and return it completed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One supported field; `default` ABSENT means it stays absent when it is not written.

    `ignored` fields are what servers add on their own: accepted and dropped.
    """

    kind: Kind
    doc: str = ""
    default: Any = ABSENT
    required: bool = False
    ignored: bool = False


def optional(kind: Kind, doc: str, default: object = ABSENT) -> Field:
    """Return a field that may be left out."""
    return Field(kind=kind, doc=doc, default=default)


def required(kind: Kind, doc: str) -> Field:
    """Return a field that must be written."""
    return Field(kind=kind, doc=doc, required=True)


def silent(*values: object) -> Field:
    """Return a field that is accepted with exactly these values, and changes nothing."""
    return Field(kind=Only(values))


@dataclass(frozen=True, slots=True)
class Text:
    """A string; `pattern` is a rule and `rule` says it in words."""

    pattern: str = ""
    rule: str = ""
    longest: int = 65536
    label: str = "string"

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check a string."""
        if not isinstance(value, str):
            hint = "; put it in quotes" if isinstance(value, bool | int | float) else ""
            findings.add(path, f"must be a string, not {name_type(value)}{hint}")
        elif len(value) > self.longest:
            findings.add(path, f"has {len(value)} characters; at most {self.longest} are accepted")
        elif self.pattern and not re.fullmatch(self.pattern, value):
            findings.add(path, f"{quoted(value)} is not valid: {self.rule}")
        return value


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number within bounds."""

    least: int = 0
    most: int = 2**31 - 1
    label: str = "integer"

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check a whole number."""
        if isinstance(value, bool) or not isinstance(value, int):
            findings.add(path, f"must be a whole number, not {name_type(value)}")
        elif not self.least <= value <= self.most:
            findings.add(path, f"is {value}; it must be between {self.least} and {self.most}")
        return value


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    label: str = "boolean"

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check a boolean."""
        if not isinstance(value, bool):
            findings.add(path, f"must be true or false, not {name_type(value)}")
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def label(self) -> str:
        """Return the words."""
        return " \\| ".join(f"`{word}`" for word in self.words)

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check that it is one of the words."""
        if value not in self.words or not isinstance(value, str):
            known = ", ".join(self.words)
            findings.add(path, f"{shown(value)} is not supported here; use {known}")
        return value


@dataclass(frozen=True, slots=True)
class Share:
    """A count, or a percentage such as `25%`."""

    label: str = "integer or percentage"

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check a count or percentage."""
        percentage = isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}%", value)
        count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 5000
        if not percentage and not count:
            findings.add(path, f"{shown(value)} is neither a count nor a percentage such as 25%")
        return value


@dataclass(frozen=True, slots=True)
class PortReference:
    """A port number, or the name of one of the container's ports."""

    label: str = "integer or port name"

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check the form; whether the name exists is checked with the whole container."""
        if isinstance(value, str):
            return value
        return Number(least=1, most=65535).complete(value, path, findings)


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount of cpu or memory."""

    resource: str

    @property
    def label(self) -> str:
        """Return an example."""
        return "quantity (`500m`, `2`)" if self.resource == "cpu" else "quantity (`128Mi`)"

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check that it can be read and is in range."""
        try:
            if self.resource == "cpu":
                quantities.cpu_millis(value)
            else:
                quantities.memory_bytes(value)
        except ValueError as error:
            findings.add(path, str(error))
        return value


@dataclass(frozen=True, slots=True)
class Many:
    """A list."""

    item: Kind
    most: int = 256
    least: int = 0

    @property
    def label(self) -> str:
        """Return the label of the items."""
        return f"list of {self.item.label}"

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check every item."""
        if not isinstance(value, list):
            findings.add(path, f"must be a list, not {name_type(value)}")
            return []
        if not self.least <= len(value) <= self.most:
            findings.add(path, f"has {len(value)} items; {self.least} to {self.most} are accepted")
            return value
        return [self.item.complete(v, (*path, i), findings) for i, v in enumerate(value)]


@dataclass(frozen=True, slots=True)
class Table:
    """A map from strings to strings, such as labels."""

    key: Text
    value: Text
    dropped: frozenset[str] = frozenset()
    label: str = "map of strings"

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check keys and values."""
        if not isinstance(value, Mapping):
            findings.add(path, f"must be a map of strings, not {name_type(value)}")
            return {}
        kept = {key: item for key, item in value.items() if key not in self.dropped}
        for key, item in kept.items():
            self.key.complete(key, (*path, key), findings)
            self.value.complete(item, (*path, key), findings)
        return kept


@dataclass(frozen=True, slots=True)
class Only:
    """A field of Kubernetes that is accepted with exactly the values given, and changes nothing."""

    values: tuple[Any, ...]
    label: str = "accepted, no effect"

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Refuse every value that would ask for something."""
        if not any(type(value) is type(known) and value == known for known in self.values):
            known = " or ".join(json.dumps(item) for item in self.values)
            findings.add(path, f"is not supported yet with this value; only {known} is accepted")
        return value


@dataclass(frozen=True, slots=True)
class Anything:
    """A value nobody looks at (dropped with its field)."""

    label: str = "ignored"

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Return the value."""
        return value


@dataclass(frozen=True, slots=True)
class Struct:
    """An object with known fields; everything else is refused by name.

    `check` looks at fields that depend on each other, once each is right by itself.
    """

    fields: Mapping[str, Field]
    label: str = "object"
    check: Callable[[Mapping[str, Any], Path, Findings], None] | None = None

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check every field written, then add the defaults of those that were not."""
        if not isinstance(value, Mapping):
            findings.add(path, f"must be an object, not {name_type(value)}")
            return {}
        done = {}
        for key, item in value.items():
            field = self.fields.get(key)
            if field is None:
                findings.add((*path, key), self._unknown(key))
            elif item is not None and not field.ignored:
                done[key] = field.kind.complete(item, (*path, key), findings)
        self._add_defaults(done, path, findings)
        if self.check is not None and findings.is_clean(path):
            self.check(done, path, findings)
        return done

    def _add_defaults(self, done: dict[str, Any], path: Path, findings: Findings) -> None:
        for key, field in self.fields.items():
            if key in done:
                continue
            if field.required:
                findings.add((*path, key), "is required")
            elif field.default is not ABSENT:
                default = copy.deepcopy(field.default)
                done[key] = field.kind.complete(default, (*path, key), findings)

    def _unknown(self, key: str) -> str:
        if key in unsupported.ADVICE:
            return f"{key} is not supported yet; {unsupported.ADVICE[key]}"
        known = [name for name, field in self.fields.items() if not field.ignored]
        near = difflib.get_close_matches(key[:80], known, n=1, cutoff=0.6)
        hint = f'did you mean "{near[0]}"?' if near else f"known here are {', '.join(known)}"
        return f"unknown or unsupported field {quoted(key)}; {hint}"
