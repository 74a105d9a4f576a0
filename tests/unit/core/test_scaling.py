"""Proportional scaling against Kubernetes' `sync.go` and KEP-5882."""

import pytest

from orchestrator.core import scaling
from orchestrator.core.plan import Reason
from orchestrator.core.rollout import Counts
from tests.factories import a_policy, a_rollout, a_spec


def rescaled(sizes, spec, *, scaled_max, current=None):
    desired = dict(enumerate(sizes, start=1))
    counts = Counts(
        current=current or len(sizes), desired=desired, available=dict.fromkeys(desired, 0)
    )
    steps = scaling.shares(counts, spec, a_rollout(scaled_for=1, scaled_max=scaled_max))
    return tuple(counts.after(steps).desired.values())


@pytest.mark.parametrize(
    ("sizes", "replicas", "surge", "scaled_max", "expected"),
    [
        pytest.param((20, 30, 60), 120, 10, 110, (24, 35, 71), id="kep-5882-grows-to-120"),
        pytest.param((24, 35, 71), 130, 10, 130, (26, 38, 76), id="and-from-there-to-130"),
        pytest.param((20, 30, 60), 130, 10, 110, (25, 38, 77), id="at-once-to-130-differs"),
        pytest.param((8, 5), 20, 5, 13, (15, 10), id="half-way-up"),
        pytest.param((8, 5), 5, 2, 13, (4, 3), id="half-way-down"),
        pytest.param((8, 5), 0, 1, 13, (0, 0), id="to-zero-takes-everything"),
        pytest.param((8, 5), 10, 3, 13, (8, 5), id="nothing-to-add-changes-nothing"),
        pytest.param((4, 4), 9, 0, 8, (4, 5), id="growing-prefers-the-newer-of-equals"),
        pytest.param((4, 4), 7, 0, 8, (3, 4), id="shrinking-takes-from-the-older-of-equals"),
        pytest.param((8, 5), 20, 5, 0, (15, 10), id="without-a-record-the-present-total-counts"),
        pytest.param((5,), 9, 3, 8, (9,), id="a-single-revision-takes-all"),
    ],
)
def test_replicas_are_shared_in_proportion(sizes, replicas, surge, scaled_max, expected):
    spec = a_spec(replicas, policy=a_policy(surge, 0 if surge else 1))

    assert rescaled(sizes, spec, scaled_max=scaled_max) == expected


def test_a_share_is_clamped_to_what_is_left_to_add():
    spec = a_spec(12, policy=a_policy(1, 0))

    assert rescaled((5, 5, 2), spec, scaled_max=6) == (5, 6, 2)


def test_recreate_does_not_share():
    spec = a_spec(9, policy=a_policy(recreate=True))

    assert rescaled((2, 3), spec, scaled_max=5) == (2, 3)


@pytest.mark.parametrize(
    ("desired", "scaled_for", "due"),
    [
        pytest.param({1: 3}, 3, False, id="the-number-is-as-recorded"),
        pytest.param({1: 3}, 5, True, id="the-number-has-changed"),
        pytest.param({1: 0}, 5, False, id="nothing-is-active"),
    ],
)
def test_scaling_is_due_when_an_active_revision_was_scaled_for_another_number(
    desired, scaled_for, due
):
    counts = Counts(current=1, desired=desired, available={1: 0})

    assert scaling.is_due(counts, a_spec(3), a_rollout(scaled_for=scaled_for)) is due


def test_a_share_names_its_reason_and_how_many_share():
    counts = Counts(current=2, desired={1: 8, 2: 5}, available={1: 8, 2: 0})
    spec = a_spec(20, policy=a_policy(5, 0))

    first, _ = scaling.shares(counts, spec, a_rollout(scaled_for=10, scaled_max=13))

    assert first.reason is Reason.SCALE_UP
    assert first.message == (
        "revision 1 should now have 15 replicas: 20 in all are wanted now and it had 8, "
        "shared with 1 other revision in proportion"
    )
