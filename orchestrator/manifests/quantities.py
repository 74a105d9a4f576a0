"""Kubernetes quantities (`500m`, `1.5`, `128Mi`, `1e3`), read exactly and rounded up."""

from __future__ import annotations

import re
from fractions import Fraction

_PATTERN = re.compile(
    r"^([+-]?\d{1,18}(?:\.\d{0,9})?|[+-]?\.\d{1,9})([A-Za-z]{0,2}|[eE][+-]?\d{1,2})$"
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
    if isinstance(quantity, bool) or not isinstance(quantity, int | float | str):
        raise ValueError(f"{quantity!r} is not a quantity such as 500m or 128Mi")  # noqa: TRY004
    found = _PATTERN.match(str(quantity))
    if not found:
        raise ValueError(f"{quantity!r} is not a quantity such as 500m or 128Mi")
    number, suffix = found.groups()
    if suffix[:1] in {"e", "E"} and len(suffix) > 1:
        return Fraction(number) * Fraction(10) ** int(suffix[1:])
    if suffix not in _SUFFIXES:
        raise ValueError(
            f"{quantity!r} has the unknown suffix {suffix!r}; use m, k, M, G, Ki, Mi, Gi"
        )
    return Fraction(number) * _SUFFIXES[suffix]


def cpu_millis(quantity: object) -> int:
    """Return thousandths of a core, rounded up.

    Raises:
        ValueError: it is no quantity, not positive, or beyond any machine.
    """
    return _whole(parse(quantity) * 1000, MAX_CPU_MILLIS, quantity)


def memory_bytes(quantity: object) -> int:
    """Return bytes, rounded up.

    Raises:
        ValueError: it is no quantity, not positive, or beyond any machine.
    """
    return _whole(parse(quantity), MAX_MEMORY_BYTES, quantity)


def _whole(value: Fraction, limit: int, quantity: object) -> int:
    rounded = -(-value.numerator // value.denominator)
    if not 0 < rounded <= limit:
        raise ValueError(f"{quantity!r} is out of range")
    return rounded
