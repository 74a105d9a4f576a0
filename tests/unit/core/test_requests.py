"""Requests as blocks keep them: sums over gateways, means over time, times of answering."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core import requests
from orchestrator.core.requests import Load, Served

BOUNDS = (10, 100, 1000)


def served(rate: int, failed: int = 0) -> Served:
    return Served(classes=(0, rate, 0, 0, failed), failed=failed, in_flight_millis=7, times=(rate,))


def block(services: dict | None = None, replicas: dict | None = None) -> dict:
    return {requests.PART: requests.part(services or {}, replicas or {})}


def test_what_is_kept_is_what_was_put_in():
    load = Load(per_second_millis=3, in_flight_millis=4)
    kept = block({"default/web": served(5)}, {"u1": (9, load)})

    assert requests.services_of(kept) == {"default/web": served(5)}
    assert requests.replicas_of(kept) == {"u1": (9, load)}
    assert requests.is_counted(kept)


def test_a_block_of_a_node_without_gateway_has_nothing():
    assert not requests.is_counted({})
    assert (requests.replicas_of({}), requests.services_of({})) == ({}, {})
    assert requests.thinned([{}, {}]) is None


def test_a_mean_counts_the_looks_in_which_there_was_nothing():
    busy = block({"a/b": served(100)}, {"u1": (9, Load(per_second_millis=100))})
    kept = {requests.PART: requests.thinned([busy, block(), {}, block()])}

    assert requests.services_of(kept)["a/b"].per_second_millis == 33
    assert requests.replicas_of(kept)["u1"] == (9, Load(per_second_millis=33))


def test_gateways_are_added_up():
    both = requests.total([served(5, failed=1), served(6)])

    assert both is not None
    assert (both.per_second_millis, both.failed, both.classes) == (11, 1, (0, 11, 0, 0, 1))
    assert requests.total([]) is None


@pytest.mark.parametrize(
    ("times", "share", "expected"),
    [
        pytest.param((0, 0, 0, 0), 0.5, None, id="no-requests"),
        pytest.param((10, 0, 0, 0), 0.5, 5, id="middle-of-the-first-group"),
        pytest.param((50, 50, 0, 0), 0.5, 10, id="end-of-a-group"),
        pytest.param((50, 40, 10, 0), 0.99, 910, id="inside-a-later-group"),
        pytest.param((0, 0, 0, 5), 0.5, 1000, id="slower-than-all-bounds"),
    ],
)
def test_quantiles_are_those_of_prometheus(times, share, expected):
    found = requests.quantile(times, BOUNDS, share)

    assert found == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.integers(0, 10**6), min_size=4, max_size=4), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_never_took_less(times, one, other):
    low, high = (requests.quantile(times, BOUNDS, share) for share in sorted((one, other)))

    assert (low is None and high is None) or (low is not None and low <= (high or 0) + 1e-6)
