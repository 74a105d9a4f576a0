"""Who serves each route, in one small file per route: written by the agent, read with each answer.

A file holds one end a line, `8080 a10-5-0-2.end.kijabi`, and is replaced as a whole. What is
read needs nobody who is alive: the answers of an agent that died are those of its last moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from worker.gateway.end_names import end_name

if TYPE_CHECKING:  # the program that reads stays small
    from worker.gateway.live import Target

_FOLDER, _NEW = "upstreams", ".new"
Ends = tuple["Target", ...]


class UpstreamFiles:
    """The files of one node's gateway; those of an agent before stay until others are written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / _FOLDER
        self._written: dict[str, Ends] | None = None

    def write(self, targets: Mapping[str, Ends]) -> bool:
        """Have the files say who serves each route; return whether they said otherwise.

        Raises:
            OSError: one or more cannot be written; the others are.
        """
        before = self._written
        if targets == before:
            return False
        # Until all is written nobody knows what is there.
        self._written = None
        has_changed, problem = False, None
        for name in (self._found() if before is None else before.keys()) - targets.keys():
            (self.folder / name).unlink(missing_ok=True)
            has_changed = True
        for name, ends in targets.items():
            if before is None or before.get(name) != ends:
                try:
                    has_changed |= self._replace(name, _text(ends))
                except OSError as error:
                    problem = error
        if problem is not None:
            raise problem
        self._written = dict(targets)
        return has_changed

    def are_there(self) -> bool:
        """Tell whether the files are as many as were written; if not, all are looked at next time.

        Somebody may have deleted the state folder.
        """
        if self._written is None or len(self._found()) == len(self._written):
            return True
        self._written = None
        return False

    def _replace(self, name: str, text: str) -> bool:
        path = self.folder / name
        if _text_of(path) == text:
            return False
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_name(f"{name}{_NEW}")
        new.write_text(text)
        new.replace(path)
        return True

    def _found(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} if self.folder.exists() else set()


def _text(ends: Ends) -> str:
    return "".join(f"{one.port} {end_name(one.address)}\n" for one in ends)


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def read(folder: Path, name: str) -> list[tuple[int, str]] | None:
    """Return port and name of each end that serves a route; None when there is no such route."""
    text = _text_of(folder / name)
    if text is None:
        return None
    pairs = (line.partition(" ") for line in text.splitlines())
    return [(int(port), end) for port, _, end in pairs]
