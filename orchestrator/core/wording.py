"""Word counts and lists the way a person would write them, and what is said in several places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

ASLEEP = "asleep: no replica runs until a request comes by an Ingress"


def count(number: int, noun: str) -> str:
    """Return the number with its noun: `1 replica`, `3 replicas`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def be(number: int) -> str:
    """Return the verb that goes with the number."""
    return "is" if number == 1 else "are"


def of(part: int, whole: int, noun: str) -> str:
    """Return a part of a number with its verb: `1 of 3 replicas is`, `0 of 1 replica is`."""
    return f"{part} of {count(whole, noun)} {be(1 if whole == 1 else part)}"


def join(parts: Sequence[str]) -> str:
    """Return the parts as one enumeration: `a`, `a and b`, `a, b and c`."""
    *head, tail = parts
    return f"{', '.join(head)} and {tail}" if head else tail


def cores(millis: int) -> str:
    """Return cpu as people write it: `2`, `500m`."""
    return f"{millis}m" if millis % 1000 else str(millis // 1000)


def memory(size: int) -> str:
    """Return memory as people write it, in whole Mi rounded down (less than one: in Ki)."""
    return f"{size >> 20}Mi" if size >= 1 << 20 else f"{size >> 10}Ki"


def duration(length: timedelta) -> str:
    """Return a length of time in the largest unit that says it in whole numbers."""
    seconds = round(length.total_seconds())
    for size, noun in ((3600, "hour"), (60, "minute")):
        if seconds >= size and not seconds % size:
            return count(seconds // size, noun)
    return count(seconds, "second")


def without_numbers(sentence: str) -> str:
    """Return the sentence with every number left out, to tell whether it says something else."""
    return re.sub(r"[0-9]+", "", sentence)
