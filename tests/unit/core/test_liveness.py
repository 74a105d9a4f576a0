"""Which nodes are suspect or lost, and when we doubt ourselves instead."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.lifecycle import NodeState
from orchestrator.core.liveness import Hearing, Timing, judge
from tests.factories import NOW

READY, SUSPECT, LOST = NodeState.READY, NodeState.SUSPECT, NodeState.LOST
LONG_AGO = NOW - timedelta(days=1)


def heard(seconds, state=READY, name="a", *, told=0):
    heard_at, told_at = (NOW - timedelta(seconds=number) for number in (seconds, told))
    return Hearing(name=name, state=state, heard_at=heard_at, told_at=told_at)


def judged(*nodes, since=LONG_AGO):
    return judge(nodes, now=NOW, listening_since=since, timing=Timing())


def three(seconds, state=READY):
    """Return a node of that silence beside two that are heard."""
    return judged(heard(seconds, state), heard(0, name="b"), heard(0, name="c"))


@pytest.mark.parametrize(
    ("seconds", "state", "expected"),
    [
        (0, READY, READY),
        (3, READY, READY),
        (3.1, READY, SUSPECT),
        (8, SUSPECT, SUSPECT),
        (8.1, SUSPECT, LOST),
        (8.1, READY, LOST),
        (1, SUSPECT, READY),
        (1, LOST, READY),
        (100, LOST, LOST),
    ],
)
def test_silence_makes_a_node_suspect_and_then_lost(seconds, state, expected):
    assert three(seconds, state).states["a"] is expected


@pytest.mark.parametrize(("state", "expected"), [(LOST, LOST), (SUSPECT, READY)])
def test_a_lost_node_is_back_when_it_answers_and_has_told_what_runs_there(state, expected):
    others = heard(0, name="b"), heard(0, name="c")

    assert judged(heard(0, state, told=60), *others).states["a"] is expected
    assert judged(heard(0, state, told=1), *others).states["a"] is READY


def test_reports_do_not_keep_a_node_that_does_not_hear():
    found = judged(heard(9, told=0), heard(0, name="b"), heard(0, name="c"))

    assert found.states["a"] is LOST


def test_when_most_fall_silent_at_once_nobody_is_lost():
    found = judged(heard(9), heard(9, name="b"), heard(0, name="c"))

    assert found.states == {"a": SUSPECT, "b": SUSPECT, "c": READY}
    assert found.doubted == {"a", "b"}


def test_half_of_the_nodes_are_not_most_of_them():
    assert judged(heard(9), heard(0, name="b")).states["a"] is LOST


def test_a_node_alone_is_never_lost():
    assert judged(heard(900)).states == {"a": SUSPECT}


def test_those_that_were_lost_before_are_no_reason_to_doubt():
    gone = [heard(900, LOST, name) for name in "xyz"]

    found = judged(heard(9), heard(0, name="b"), heard(0, name="c"), *gone)

    assert (found.states["a"], found.doubted) == (LOST, frozenset())


def test_when_we_were_away_ourselves_nobody_is_accused():
    found = judged(heard(900), heard(900, name="b"), since=NOW - timedelta(seconds=2))

    assert found.states == {"a": READY, "b": READY}


@pytest.mark.parametrize(("nodes", "seconds"), [(1, 40), (2, 8), (50, 8), (51, 16), (200, 32)])
def test_times_grow_with_the_number_of_nodes(nodes, seconds):
    assert Timing().stretched(nodes).lost == timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [(0, 3, 8), (3, 3, 8), (1, 9, 8), (-1, 3, 8)])
def test_times_in_the_wrong_order_are_refused(seconds):
    ping, suspect, lost = (timedelta(seconds=number) for number in seconds)
    with pytest.raises(ValueError, match="grow in this order"):
        Timing(ping=ping, suspect=suspect, lost=lost)


@given(
    silences=st.lists(st.floats(0, 60), min_size=1, max_size=9),
    states=st.lists(st.sampled_from((READY, SUSPECT)), min_size=9, max_size=9),
)
def test_never_more_than_half_of_those_present_are_lost_at_once(silences, states):
    nodes = [
        heard(silence, state, f"n{number}")
        for number, (silence, state) in enumerate(zip(silences, states, strict=False))
    ]

    lost = [state for state in judged(*nodes).states.values() if state is LOST]

    assert 2 * len(lost) <= len(nodes)
