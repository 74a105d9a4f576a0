"""One replica that runs here, for those who only measure it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Where to find the container of a replica, and how often it was restarted."""

    uid: str
    container: str
    runtime: str
    restarts: int
