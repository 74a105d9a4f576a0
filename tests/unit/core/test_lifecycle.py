"""A replica's life goes one way."""

import pytest

from orchestrator.core.lifecycle import (
    GONE_PHASES,
    LEAVING_PHASES,
    LIVE_PHASES,
    ReplicaPhase,
    may_follow,
)

PHASE = ReplicaPhase


@pytest.mark.parametrize(
    ("current", "new", "allowed"),
    [
        pytest.param(PHASE.PENDING, PHASE.ASSIGNED, True, id="a-node-was-found"),
        pytest.param(PHASE.ASSIGNED, PHASE.RUNNING, True, id="steps-may-be-skipped"),
        pytest.param(PHASE.RUNNING, PHASE.LOST, True, id="its-node-is-lost"),
        pytest.param(PHASE.RUNNING, PHASE.STARTING, False, id="never-back"),
        pytest.param(PHASE.RUNNING, PHASE.RUNNING, False, id="the-same-is-no-step"),
        pytest.param(PHASE.STOPPED, PHASE.LOST, False, id="nothing-follows-stopped"),
    ],
)
def test_a_phase_is_followed_only_by_later_ones(current, new, allowed):
    assert may_follow(current=current, new=new) is allowed


def test_every_phase_but_stopping_is_either_live_or_gone():
    assert {*LIVE_PHASES, *LEAVING_PHASES, *GONE_PHASES} == set(ReplicaPhase)
    assert not set(LIVE_PHASES) & set(GONE_PHASES)


def test_phases_compare_by_their_place_in_life():
    assert max(PHASE.ASSIGNED, PHASE.PENDING) is PHASE.ASSIGNED
    assert PHASE.LOST > PHASE.STARTING
