"""Decide which replicas serve a service: who is in rotation, who only finishes, who is out and why.

A replica serves when it is ready, and has been for the minimum of its deployment. A withdrawn one
gets no new connections; those it has are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.core.constraints import Labels
from orchestrator.core.lifecycle import NodeState, ReplicaPhase


class Standing(StrEnum):
    """Where a replica stands with a service that selects it."""

    SERVING = "serving"
    DRAINING = "draining"
    OUT = "out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A replica that a service selects, gone ones left out.

    `node_address` is where other nodes find its node, `address` where its own node finds it.
    `named_ports` are the names its containers give to ports, `reachable` maps a port of the
    container to where it can be reached at `address`.
    """

    uid: str
    deployment: str = ""
    node: str | None
    node_state: NodeState = NodeState.READY
    node_address: str = ""
    phase: ReplicaPhase
    ready: bool = False
    ready_at: datetime | None = None
    min_ready_seconds: int = 0
    address: str = ""
    named_ports: tuple[tuple[str, int], ...] = ()
    reachable: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a candidate stands, and why."""

    standing: Standing
    why: str


def selects(selector: Labels, labels: Labels) -> bool:
    """Tell whether labels meet a selector; an empty one selects nothing."""
    return bool(selector) and set(selector) <= set(labels)


def place_of(candidate: Candidate, *, now: datetime) -> Place:
    """Return whether the candidate serves now."""
    if candidate.phase is ReplicaPhase.WITHDRAWN and candidate.address:
        why = "withdrawn: it gets no new connections and may finish those it has"
        return Place(standing=Standing.DRAINING, why=why)
    why_not = _why_out(candidate, now)
    if why_not:
        return Place(standing=Standing.OUT, why=why_not)
    return Place(standing=Standing.SERVING, why="ready")


def port_of(candidate: Candidate, target: int | str) -> int | None:
    """Return where the candidate's target port can be reached, None when it has no such port."""
    inside = target if isinstance(target, int) else dict(candidate.named_ports).get(target)
    return None if inside is None else dict(candidate.reachable).get(inside, inside)


def _why_out(candidate: Candidate, now: datetime) -> str:
    if candidate.node is None:
        return "it waits for a node"
    if candidate.node_state is NodeState.LOST:
        return f"its node {candidate.node} is lost"
    if candidate.phase is not ReplicaPhase.RUNNING:
        return f"it is {candidate.phase}"
    return _why_not_yet(candidate, now)


def _why_not_yet(candidate: Candidate, now: datetime) -> str:
    if not candidate.ready or candidate.ready_at is None:
        return "it is not ready"
    if not candidate.address:
        return f"node {candidate.node} has not said where it listens"
    if candidate.ready_at + timedelta(seconds=candidate.min_ready_seconds) > now:
        return f"it has been ready for less than {candidate.min_ready_seconds} s (minReadySeconds)"
    return ""
