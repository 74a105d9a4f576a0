"""How a container is to look names up: what a runtime is told, and what goes into resolv.conf."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolving:
    """Resolvers, what is appended to short names, and options, as in resolv.conf(5)."""

    servers: tuple[str, ...]
    searches: tuple[str, ...]
    options: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the same as a file."""
        lines = [f"nameserver {server}" for server in self.servers]
        lines += [f"search {' '.join(self.searches)}", f"options {' '.join(self.options)}"]
        return "\n".join(lines) + "\n"


# What containers of a namespace are to do; None leaves it to the runtime.
ResolvingOf = Callable[[str], Resolving | None]


def as_the_runtime_likes(namespace: str) -> None:
    """Leave it to the runtime."""
    del namespace
