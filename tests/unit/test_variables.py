"""Variables of the environment: what is wrong with one is said in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from django.core.exceptions import ImproperlyConfigured

from orchestrator.variables import network, number, port_range

ports = partial(port_range, default="20000-29999")
network4 = partial(network, default="10.97.0.0/16", version=4)
network6 = partial(network, default="", version=6)


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (partial(number, default=8), "", 8.0),
        (partial(number, default=8), "2.5", 2.5),
        (ports, "", (20000, 29999)),
        (ports, "1-65535", (1, 65535)),
        (network4, "", "10.97.0.0/16"),
        (network4, "10.1.0.0/24", "10.1.0.0/24"),
        (network6, "", ""),
        (network6, "fd00::/112", "fd00::/112"),
    ],
)
def test_what_is_well_written_counts(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[str], object], text: str, expected: object
):
    monkeypatch.setenv("KIJABI_X", text)

    assert read("KIJABI_X") == expected


@pytest.mark.parametrize(
    ("read", "text", "told"),
    [
        (partial(number, default=8, least=0.1), "abc", "a number of at least 0.1"),
        (partial(number, default=8, least=0.1), "0", "a number of at least 0.1"),
        (partial(number, default=8), "-1", "a number of at least 0"),
        (partial(number, default=8), "inf", "a number of at least 0"),
        (partial(number, default=8), "nan", "a number of at least 0"),
        (ports, "abc", "two ports, as in 20000-29999"),
        (ports, "2-1", "two ports, as in 20000-29999"),
        (ports, "1-65536", "two ports, as in 20000-29999"),
        (ports, "0-9", "two ports, as in 20000-29999"),
        (network4, "here", "a network of IPv4, as in 10.97.0.0/16"),
        (network4, "10.1.0.1/24", "a network of IPv4, as in 10.97.0.0/16"),
        (network4, "fd00::/112", "a network of IPv4, as in 10.97.0.0/16"),
        (network6, "10.1.0.0/24", "a network of IPv6, as in fd00:97::/112"),
    ],
)
def test_what_is_not_is_named_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[str], object], text: str, told: str
):
    monkeypatch.setenv("KIJABI_X", text)

    with pytest.raises(ImproperlyConfigured) as refused:
        read("KIJABI_X")

    assert str(refused.value) == f"KIJABI_X is {text!r}; write {told}"
