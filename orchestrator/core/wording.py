"""Word counts and lists the way a person would write them."""

from __future__ import annotations

from collections.abc import Sequence


def count(number: int, noun: str) -> str:
    """Return the number with its noun: `1 replica`, `3 replicas`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def be(number: int) -> str:
    """Return the verb that goes with the number."""
    return "is" if number == 1 else "are"


def join(parts: Sequence[str]) -> str:
    """Return the parts as one enumeration: `a`, `a and b`, `a, b and c`."""
    *head, tail = parts
    return f"{', '.join(head)} and {tail}" if head else tail
