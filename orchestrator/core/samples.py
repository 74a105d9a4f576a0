"""What nodes measured, as rows keep it: many samples in one small value, thinned out with age.

A sample is a list in the order of `FIELDS`; what is not known is None. Thinning takes the mean of
what is used, and the latest of everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.core import requests

# Of what is used: thousandths of a core, bytes, bytes per second in and out. Then restarts and
# the limits in force.
USED = ("cpu_millis", "memory_bytes", "received_per_second", "sent_per_second")
FIELDS = (*USED, "restarts", "cpu_limit_millis", "memory_limit_bytes")
# How the line of names begins of a block of a node where requests are counted.
COUNTED = "r"
Sample = Sequence[int | None]
Block = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """How densely blocks of some age are kept: one each `seconds` (0: as they came)."""

    seconds: int
    kept_seconds: int


TIERS = (
    Tier(seconds=0, kept_seconds=15 * 60),
    Tier(seconds=60, kept_seconds=4 * 3600),
    Tier(seconds=600, kept_seconds=24 * 3600),
)
# What comes sooner after the one before is dropped, which bounds the rows of the first tier.
SHORTEST_PERIOD_SECONDS = 2.0


def most_rows() -> int:
    """Return how many rows a node can have between two times of thinning."""
    first, *others = TIERS
    return int(first.kept_seconds / SHORTEST_PERIOD_SECONDS) + sum(
        tier.kept_seconds // tier.seconds for tier in others
    )


def block(
    node: Sample,
    replicas: Mapping[str, tuple[int, Sample]],
    counted: Mapping[str, object] | None = None,
) -> Block:
    """Return the value to keep of one look: of the node, and of each replica by uid.

    A replica comes with the key of its deployment; `counted` is the part of requests.
    """
    kept: dict[str, object] = {
        "node": list(node),
        "replicas": {uid: [owner, *sample] for uid, (owner, sample) in replicas.items()},
    }
    return kept if counted is None else {**kept, requests.PART: counted}


def names_of(kept: Block) -> str:
    """Return whom a block speaks of as one line, so that others need not be read: `r,12,a/web,`.

    Deployments by their keys, and services; it begins with an r where requests are counted.
    """
    owners = {str(values[0]) for values in kept["replicas"].values()}
    owners |= {str(owner) for owner, _ in requests.replicas_of(kept).values()}
    names = [*sorted(owners), *sorted(requests.services_of(kept))]
    return ",".join([COUNTED if requests.is_counted(kept) else "", *names, ""])


def mark_of(name: int | str) -> str:
    """Return how the line of a block names a deployment (by key) or a service."""
    return f",{name},"


def node_of(kept: Block) -> Sample:
    """Return the sample of the node."""
    found: Sample = kept["node"]
    return found


def replicas_of(kept: Block) -> dict[str, tuple[int, Sample]]:
    """Return the samples of replicas by uid, each with the key of its deployment."""
    return {uid: (values[0], values[1:]) for uid, values in kept["replicas"].items()}


def thinned(blocks: Sequence[Block]) -> Block:
    """Return one block for several, given oldest first."""
    replicas: dict[str, tuple[int, list[Sample]]] = {}
    for kept in blocks:
        for uid, (owner, sample) in replicas_of(kept).items():
            replicas.setdefault(uid, (owner, []))[1].append(sample)
    return block(
        mean([node_of(kept) for kept in blocks]),
        {uid: (owner, mean(samples)) for uid, (owner, samples) in replicas.items()},
        requests.thinned(blocks),
    )


def mean(samples: Sequence[Sample]) -> Sample:
    """Return one sample for several of the same thing, given oldest first."""
    found: list[int | None] = []
    for index, name in enumerate(FIELDS):
        known = [v for sample in samples if (v := _at(sample, index)) is not None]
        if not known:
            found.append(None)
        else:
            found.append(round(sum(known) / len(known)) if name in USED else known[-1])
    return found


def total(samples: Iterable[Sample]) -> Sample:
    """Return the sum of samples of several things; None where none of them is known."""
    found: list[int | None] = [None] * len(FIELDS)
    for sample in samples:
        for index in range(len(FIELDS)):
            value = _at(sample, index)
            if value is not None:
                found[index] = (found[index] or 0) + value
    return found


def end_of_period(at: datetime, seconds: int) -> datetime:
    """Return when the period that an instant lies in is over; an end belongs to what it ends."""
    ticks = -(-int(at.timestamp() * 1000) // (seconds * 1000))
    return datetime.fromtimestamp(ticks * seconds, tz=UTC)


def _at(sample: Sample, index: int) -> int | None:
    # A block of an earlier release may know fewer fields.
    return sample[index] if index < len(sample) else None
