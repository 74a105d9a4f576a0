"""What is wrong with a manifest: every fault of every document, each in one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Path = tuple[str | int, ...]

MAX_PROBLEMS = 100
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,63}")
_WORDS = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault: what, where (JSON path, line from 1, document from 1), and what to do."""

    message: str
    path: str = ""
    line: int | None = None
    document: int | None = None

    def __str__(self) -> str:
        place = [f"document {self.document}"] if self.document is not None else []
        if self.line is not None:
            place.append(f"line {self.line}")
        where = ", ".join(place)
        return ": ".join(part for part in (where, self.path, self.message) if part)


class ManifestInvalid(ValueError):
    """A text of manifests that cannot be accepted; nothing of it is applied."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(slots=True)
class Findings:
    """Collects the faults of one document; `lines` maps a path to the line it starts on.

    The documents of one text share `problems`. A text with more than `MAX_PROBLEMS` faults is
    not read to its end: nobody reads so many, and finding them takes time.
    """

    document: int | None = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _places: list[Path] = field(default_factory=list)

    def add(self, path: Path, message: str) -> None:
        """Note a fault; the line is that of the nearest place that was written.

        Raises:
            ManifestInvalid: it is one too many.
        """
        if len(self.problems) >= MAX_PROBLEMS:
            last = Problem(message=f"there are more faults; these are the first {MAX_PROBLEMS}")
            raise ManifestInvalid((*self.problems, last))
        self._places.append(path)
        self.problems.append(
            Problem(
                message=message,
                path=dotted(path),
                line=self._line(path),
                document=self.document,
            )
        )

    def is_clean(self, *paths: Path) -> bool:
        """Tell whether no fault was noted at, above or below any of the places."""
        return not any(
            all(a == b for a, b in zip(place, path, strict=False))
            for place in self._places
            for path in paths
        )

    def can_reach(self, path: Path) -> bool:
        """Tell whether no fault was noted at or above the place."""
        return not any(path[: len(place)] == place for place in self._places)

    def _line(self, path: Path) -> int | None:
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def refuse(message: str, line: int | None = None) -> ManifestInvalid:
    """Return the refusal of a whole text."""
    return ManifestInvalid((Problem(message=message, line=line),))


def dotted(path: Path) -> str:
    """Return a path as people write it: `spec.template.spec.containers[0].image`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not _PLAIN_KEY.fullmatch(part):
            text += f"[{quoted(part)}]"
        else:
            text += f".{part}" if text else part
    return text


def quoted(text: str) -> str:
    """Return a text in double quotes, on one line and not too long."""
    return json.dumps(text if len(text) <= 80 else f"{text[:79]}…", ensure_ascii=False)


def name_type(value: object) -> str:
    """Return the JSON name of a value's type, for messages."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object"
    return _WORDS.get(type(value), "a list")


def shown(value: object) -> str:
    """Return a value as a message shows it: a short one itself, otherwise what it is."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return name_type(value)
