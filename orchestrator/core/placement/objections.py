"""Why one node does not fit, worded for one node and for several, and what would change that."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Effort(IntEnum):
    """How much a person has to do against an objection; the least decides what is proposed."""

    LESS = 1
    UNCORDON = 2
    TOLERATE = 3
    RELABEL = 4
    MOVE_OTHERS = 5
    INSTALL = 6
    REPAIR = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """One reason; `remedy` completes "it would fit on this node …".

    `lacking` is the share of a request that is missing, so that of two nodes that are too full the
    emptier one is nearer.
    """

    singular: str
    plural: str
    remedy: str
    effort: Effort
    lacking: float = 0.0


GONE = Objection(
    singular="has been forgotten",
    plural="have been forgotten",
    remedy="if it joined again",
    effort=Effort.REPAIR,
)


def being(what: str, *, remedy: str, effort: Effort) -> Objection:
    """Return the objection that a node is something."""
    return Objection(singular=f"is {what}", plural=f"are {what}", remedy=remedy, effort=effort)


def having(what: str, *, remedy: str, effort: Effort) -> Objection:
    """Return the objection that a node has something."""
    return Objection(singular=f"has {what}", plural=f"have {what}", remedy=remedy, effort=effort)
