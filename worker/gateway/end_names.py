"""Names that the HTTP gateway asks for: of routes, and of ends, which say an address. Pure.

Kept apart and small, as the program that answers is (`upstream_server`).
"""

from __future__ import annotations

ZONE = "kijabi"
_ROUTES, _ENDS = "route", "end"
# RFC 1035, 2.3.4.
LONGEST_LABEL = 63


def route_name(word: str) -> str:
    """Return the name of the route with this word, which has neither dots nor slashes."""
    return f"r{word}.{_ROUTES}.{ZONE}"


def is_route(name: str) -> bool:
    """Tell whether a name (lower case, no dot at its end) can be that of a route."""
    label, _, rest = name.partition(".")
    is_word = label.isascii() and label.isalnum() and len(label) <= LONGEST_LABEL
    return is_word and rest == f"{_ROUTES}.{ZONE}"


def end_name(address: str) -> str:
    """Return a name that says an address: Caddy takes no plain ones from an answer."""
    words = address.replace(".", "-").replace(":", "x")
    return f"a{words}.{_ENDS}.{ZONE}"


def address_of(name: str) -> str | None:
    """Return the address that a name says; None when it says none."""
    label, _, rest = name.rstrip(".").partition(".")
    if rest != f"{_ENDS}.{ZONE}" or not label.startswith("a") or len(label) < 2:
        return None
    words = label[1:]
    return words.replace("x", ":") if "x" in words else words.replace("-", ".")


def end_of(dialled: str) -> tuple[str, int]:
    """Return address and port of an end as Caddy names it: `a10-5-0-2.end.kijabi.:8080`."""
    host, _, port = dialled.rpartition(":")
    return address_of(host) or host, int(port) if port.isdecimal() else 0
