"""Variables of the environment, read with one clear sentence about whatever is wrong with them."""

from __future__ import annotations

import ipaddress
import math
import os

from django.core.exceptions import ImproperlyConfigured


def number(name: str, default: float, *, least: float = 0.0) -> float:
    """Return a variable that is a number, by default if it is empty or not set.

    Raises:
        ImproperlyConfigured: it is none, or less than `least`.
    """
    text = os.environ.get(name) or str(default)
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not least <= found < math.inf:
        raise ImproperlyConfigured(f"{name} is {text!r}; write a number of at least {least:g}")
    return found


def port_range(name: str, default: str) -> tuple[int, int]:
    """Return a variable that is two ports, the first and the last.

    Raises:
        ImproperlyConfigured: it is not.
    """
    text = os.environ.get(name) or default
    first, _, last = text.partition("-")
    if first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= 65535:
        return int(first), int(last)
    raise ImproperlyConfigured(f"{name} is {text!r}; write two ports, as in {default}")


def network(name: str, default: str, *, version: int) -> str:
    """Return a variable that is a network of addresses, or empty where the default is.

    Raises:
        ImproperlyConfigured: it is none, or of the other version.
    """
    text = os.environ.get(name) or default
    try:
        found = ipaddress.ip_network(text).version if text else version
    except ValueError:
        found = None
    if found != version:
        example = default or "fd00:97::/112"
        raise ImproperlyConfigured(
            f"{name} is {text!r}; write a network of IPv{version}, as in {example}"
        )
    return text
