"""Requests as blocks keep them: rates of services and replicas as one node's gateway saw them.

All numbers are thousandths: requests a second, and requests under way. A block without this part is
of a node where nobody counts; what is not named in it had no request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PART = "requests"
_SERVICES, _REPLICAS = "services", "replicas"
# Of a service: answers by their first digit, 1 to 5; those the gateway had to give itself as no
# replica could; how many were under way. Then one rate for each group of times of answering.
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_FAILED, _IN_FLIGHT, _TIMES = 5, 6, 7
Numbers = Sequence[int]
Part = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Requests to one thing: how many a second, and under way, in thousandths."""

    per_second_millis: int = 0
    in_flight_millis: int = 0

    def __add__(self, other: Load) -> Load:
        """Return both together."""
        return Load(
            per_second_millis=self.per_second_millis + other.per_second_millis,
            in_flight_millis=self.in_flight_millis + other.in_flight_millis,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Requests for a service: rates by class of answer, failed, under way, and by time."""

    classes: tuple[int, ...]
    failed: int
    in_flight_millis: int
    times: tuple[int, ...]

    @property
    def per_second_millis(self) -> int:
        """Return how many a second, whatever the answer."""
        return sum(self.times)


def part(
    services: Mapping[str, Served], replicas: Mapping[str, tuple[int, Load]]
) -> dict[str, object]:
    """Return what to keep in a block; a replica comes with the key of its deployment."""
    return {
        _SERVICES: {
            name: [*one.classes, one.failed, one.in_flight_millis, *one.times]
            for name, one in services.items()
        },
        _REPLICAS: {
            uid: [owner, load.per_second_millis, load.in_flight_millis]
            for uid, (owner, load) in replicas.items()
        },
    }


def is_counted(block: Part) -> bool:
    """Tell whether the block is of a node where requests are counted."""
    return PART in block


def replicas_of(block: Part) -> dict[str, tuple[int, Load]]:
    """Return the requests of replicas by uid, each with the key of its deployment."""
    found = block.get(PART, {}).get(_REPLICAS, {})
    return {
        uid: (owner, Load(per_second_millis=rate, in_flight_millis=busy))
        for uid, (owner, rate, busy) in found.items()
    }


def service_of(block: Part, name: str) -> Served | None:
    """Return the requests for one service (`namespace/name`), None when there were none."""
    numbers = block.get(PART, {}).get(_SERVICES, {}).get(name)
    return _served(numbers) if numbers is not None else None


def services_of(block: Part) -> dict[str, Served]:
    """Return the requests for every service that had some."""
    found = block.get(PART, {}).get(_SERVICES, {})
    return {name: _served(numbers) for name, numbers in found.items()}


def thinned(blocks: Sequence[Part]) -> dict[str, object] | None:
    """Return the mean of several blocks, None when nobody counted in any of them."""
    counted = [block[PART] for block in blocks if PART in block]
    if not counted:
        return None
    return {
        _SERVICES: _means([one[_SERVICES] for one in counted], first=0),
        _REPLICAS: _means([one[_REPLICAS] for one in counted], first=1),
    }


def total(served: Iterable[Served]) -> Served | None:
    """Return several gateways' views of one service together, None for none."""
    every = list(served)
    if not every:
        return None
    return Served(
        classes=_sums(one.classes for one in every),
        failed=sum(one.failed for one in every),
        in_flight_millis=sum(one.in_flight_millis for one in every),
        times=_sums(one.times for one in every),
    )


def quantile(times: Numbers, bounds: Sequence[int], share: float) -> float | None:
    """Return the time that a share of requests took at most, in the unit of the bounds.

    As histogram_quantile of Prometheus: even within a group, and no more than the last bound. None
    without requests.
    """
    wanted, below, begin = sum(times) * share, 0, 0
    if not any(times):
        return None
    for number, end in zip(times, bounds, strict=False):
        if number and below + number >= wanted:
            return begin + (end - begin) * max(0.0, wanted - below) / number
        below, begin = below + number, end
    return float(bounds[-1])


def _served(numbers: Numbers) -> Served:
    return Served(
        classes=tuple(numbers[:_FAILED]),
        failed=numbers[_FAILED],
        in_flight_millis=numbers[_IN_FLIGHT],
        times=tuple(numbers[_TIMES:]),
    )


def _means(parts: Sequence[Mapping[str, Numbers]], *, first: int) -> dict[str, list[int]]:
    """Return the means from place `first` on; where something is not named it had nothing."""
    rows: dict[str, list[Numbers]] = {}
    for one in parts:
        for name, numbers in one.items():
            rows.setdefault(name, []).append(numbers)
    return {
        name: [
            *every[-1][:first],
            *(round(number / len(parts)) for number in _sums(row[first:] for row in every)),
        ]
        for name, every in rows.items()
    }


def _sums(rows: Iterable[Numbers]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*rows, strict=True))
