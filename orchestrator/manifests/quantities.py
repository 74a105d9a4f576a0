"""Kubernetes quantities (`500m`, `1.5`, `128Mi`, `1e3`), read exactly and rounded up."""

from __future__ import annotations

import re
from fractions import Fraction

from orchestrator.manifests.problems import shown

_PATTERN = re.compile(
    r"([+-]?[0-9]{1,18}(?:\.[0-9]{0,9})?|[+-]?\.[0-9]{1,9})([A-Za-z]{0,2}|[eE][+-]?[0-9]{1,2})"
)
_SUFFIXES = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", start=1)},
}
MAX_CPU_MILLIS = 1_000_000
MAX_MEMORY_BYTES = 1 << 50


def parse(quantity: object) -> Fraction:
    """Return the exact value of a quantity.

    Raises:
        ValueError: it is not one.
    """
    is_amount = isinstance(quantity, int | float | str) and not isinstance(quantity, bool)
    found = _PATTERN.fullmatch(str(quantity)) if is_amount else None
    if not found:
        raise ValueError(f"{shown(quantity)} is not a quantity such as 500m or 128Mi")
    number, suffix = found.groups()
    if suffix[-1:].isdigit():
        return Fraction(number) * Fraction(10) ** int(suffix[1:])
    if suffix not in _SUFFIXES:
        raise ValueError(
            f'{shown(quantity)} has the unknown suffix "{suffix}"; use m, k, M, G, Ki, Mi, Gi'
        )
    return Fraction(number) * _SUFFIXES[suffix]


def cpu_millis(quantity: object) -> int:
    """Return thousandths of a core, rounded up.

    Raises:
        ValueError: it is no quantity, not positive, or beyond any machine.
    """
    bounds = f"more than 0, at most {format_cpu(MAX_CPU_MILLIS)} cores"
    return _whole(parse(quantity) * 1000, MAX_CPU_MILLIS, shown(quantity), bounds)


def memory_bytes(quantity: object) -> int:
    """Return bytes, rounded up.

    Raises:
        ValueError: it is no quantity, not positive, or beyond any machine.
    """
    bounds = f"more than 0, at most {format_memory(MAX_MEMORY_BYTES)}"
    return _whole(parse(quantity), MAX_MEMORY_BYTES, shown(quantity), bounds)


def format_cpu(millis: int) -> str:
    """Return cores as people write them: `2`, `500m`."""
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def format_memory(size: int) -> str:
    """Return bytes with the largest binary suffix that holds them exactly: `64Mi`, `1536`."""
    for power, letter in reversed(list(enumerate("KMGTPE", start=1))):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power}{letter}i"
    return str(size)


def _whole(value: Fraction, limit: int, quantity: str, bounds: str) -> int:
    rounded = -(-value.numerator // value.denominator)
    if not 0 < rounded <= limit:
        raise ValueError(f"{quantity} is out of range; give {bounds}")
    return rounded
