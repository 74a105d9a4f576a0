"""The latest that nodes measured: what counts as of now, and over which seconds it is averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from orchestrator.core.samples import Block

# A node that has said nothing for so long says nothing any more.
FRESH = timedelta(seconds=30)
# What it said in the latest seconds is averaged: one look alone is noisy.
WINDOW = timedelta(seconds=10)
Look = tuple[str, datetime, Block]


def within_window(looks: Sequence[Look]) -> Iterator[Look]:
    """Yield the looks of each node that are no older than its window; given oldest first."""
    latest = {node: at for node, at, _ in looks}
    yield from ((node, at, block) for node, at, block in looks if at > latest[node] - WINDOW)
