"""What is wrong with a manifest: every fault of every document, each in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field

Path = tuple[str | int, ...]


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
    """Collects the faults of one document; `lines` maps a path to the line it starts on."""

    document: int | None = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: Path, message: str) -> None:
        """Note a fault; the line is that of the nearest place that was written."""
        self.problems.append(
            Problem(
                message=message,
                path=dotted(path),
                line=self._line(path),
                document=self.document,
            )
        )

    def _line(self, path: Path) -> int | None:
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


def dotted(path: Path) -> str:
    """Return a path as people write it: `spec.template.spec.containers[0].image`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "." in part or "/" in part:
            text += f'["{part}"]'
        else:
            text += f".{part}" if text else part
    return text
