"""The rollout arithmetic against traces worked out from Kubernetes' `rolling.go`."""

from dataclasses import replace

import pytest

from orchestrator.core.plan import Reason
from orchestrator.core.rollout import Counts, next_steps
from orchestrator.core.spec import UpdatePolicy
from tests.factories import a_policy, a_spec

WAIT = "wait"


def counts_of(old, new, *, old_available=None, new_available=0):
    available = {1: old if old_available is None else old_available, 2: new_available}
    return Counts(current=2, desired={1: old, 2: new}, available=available)


def trace(counts, spec, *, becomes_ready=True):
    """Take steps until nothing moves; return the (old, new) pairs with waits between them."""
    course = []
    while True:
        if steps := next_steps(counts, spec, old_are_gone=True):
            counts = counts.after(steps)
            course.append((counts.desired[1], counts.desired[2]))
        elif becomes_ready and counts.available[2] < counts.desired[2]:
            counts = replace(counts, available={1: counts.available[1], 2: counts.desired[2]})
            course.append(WAIT)
        else:
            return course


def resolved(replicas, surge, unavailable):
    policy = UpdatePolicy.resolve(replicas=replicas, surge=surge, unavailable=unavailable)
    return a_spec(replicas, policy=policy)


@pytest.mark.parametrize(
    ("replicas", "bounds", "expected"),
    [
        pytest.param(
            10,
            ("25%", "25%"),
            [(10, 3), (8, 3), (8, 5), WAIT, (3, 5), (3, 10), WAIT, (0, 10)],
            id="ten-replicas-take-two-waves",
        ),
        pytest.param(
            4,
            ("25%", "25%"),
            [(4, 1), (3, 1), (3, 2), WAIT, (1, 2), (1, 4), WAIT, (0, 4)],
            id="four-replicas-surge-and-retire-one",
        ),
        pytest.param(
            3,
            ("25%", "25%"),
            [(3, 1), WAIT, (2, 1), (2, 2), WAIT, (1, 2), (1, 3), WAIT, (0, 3)],
            id="three-replicas-never-go-below-three",
        ),
        pytest.param(1, ("25%", "25%"), [(1, 1), WAIT, (0, 1)], id="one-replica-surges-first"),
        pytest.param(
            2,
            (0, "1%"),
            [(1, 0), (1, 1), WAIT, (0, 1), (0, 2), WAIT],
            id="two-bounds-of-zero-become-one-unavailable",
        ),
    ],
)
def test_a_rolling_update_takes_kubernetes_course(replicas, bounds, expected):
    spec = resolved(replicas, *bounds)

    course = trace(counts_of(replicas, 0), spec)

    assert course == expected


def test_a_revision_that_never_serves_stops_the_rollout_at_eight_and_five():
    course = trace(counts_of(10, 0), resolved(10, "25%", "25%"), becomes_ready=False)

    assert course == [(10, 3), (8, 3), (8, 5)]


def test_a_dead_old_replica_does_not_let_a_bad_rollout_go_on():
    counts = counts_of(8, 5, old_available=7)

    steps = next_steps(counts, resolved(10, "25%", "25%"), old_are_gone=True)

    assert steps == ()


def test_going_back_removes_four_crash_loopers_before_the_good_revision_grows():
    counts = Counts(current=3, desired={2: 5, 3: 8}, available={2: 0, 3: 7})
    spec = resolved(10, "25%", "25%")

    removed = next_steps(counts, spec, old_are_gone=True)
    grown = next_steps(counts.after(removed), spec, old_are_gone=True)

    assert [(step.revision, step.desired, step.reason) for step in removed] == [
        (2, 1, Reason.REMOVE_UNHEALTHY)
    ]
    assert [(step.revision, step.desired) for step in grown] == [(3, 10)]


def test_a_third_revision_starts_with_the_room_that_idle_old_ones_leave():
    counts = Counts(current=3, desired={1: 8, 2: 5, 3: 0}, available={1: 8, 2: 0, 3: 0})
    spec = resolved(10, "25%", "25%")

    removed = next_steps(counts, spec, old_are_gone=True)
    grown = next_steps(counts.after(removed), spec, old_are_gone=True)

    assert [(step.revision, step.desired) for step in removed] == [(2, 0)]
    assert [(step.revision, step.desired) for step in grown] == [(3, 5)]


def test_the_oldest_revision_is_retired_first():
    counts = Counts(current=3, desired={1: 2, 2: 2, 3: 3}, available={1: 2, 2: 2, 3: 3})

    steps = next_steps(counts, a_spec(4, policy=a_policy(3, 0)), old_are_gone=True)

    assert [(step.revision, step.desired) for step in steps] == [(1, 0), (2, 1)]


def test_a_revision_beyond_the_budget_is_left_alone():
    counts = Counts(current=3, desired={1: 3, 2: 2, 3: 2}, available={1: 3, 2: 2, 3: 2})

    steps = next_steps(counts, a_spec(5, policy=a_policy(2, 0)), old_are_gone=True)

    assert [(step.revision, step.desired) for step in steps] == [(1, 1)]


def test_a_current_revision_larger_than_wanted_shrinks_to_what_is_wanted():
    steps = next_steps(counts_of(0, 5, new_available=5), a_spec(3), old_are_gone=True)

    assert [(step.desired, step.reason) for step in steps] == [(3, Reason.SCALE_DOWN)]


@pytest.mark.parametrize(
    ("old", "new", "gone", "expected"),
    [
        pytest.param(3, 0, False, [(1, 0)], id="old-ones-stop-all-at-once"),
        pytest.param(0, 0, False, [], id="nothing-starts-while-an-old-one-is-stopping"),
        pytest.param(0, 0, True, [(2, 3)], id="new-ones-start-when-the-old-are-gone"),
        pytest.param(0, 5, True, [(2, 3)], id="too-many-new-ones-shrink"),
        pytest.param(0, 3, True, [], id="nothing-is-left-to-do"),
    ],
)
def test_recreate_stops_everything_before_it_starts_anything(old, new, gone, expected):
    spec = a_spec(3, policy=a_policy(recreate=True))

    steps = next_steps(counts_of(old, new), spec, old_are_gone=gone)

    assert [(step.revision, step.desired) for step in steps] == expected


def test_a_step_says_what_it_rests_on():
    (step,) = next_steps(counts_of(3, 0), a_spec(3), old_are_gone=True)

    assert step.message == (
        "revision 2 should now have 1 replica: "
        "3 are wanted, 3 old replicas remain and at most 4 may exist at once"
    )
