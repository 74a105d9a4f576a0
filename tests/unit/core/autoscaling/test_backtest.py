"""What was measured, replayed through a policy: the course, and what can be said of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from orchestrator.core.autoscaling.backtest import Moment, replay
from orchestrator.core.autoscaling.policy import DEFAULT_DOWN, Source
from tests.factories import NOW
from tests.loads import REQUEST, a_policy


def moments(*totals, replicas=1):
    """Return one moment a minute with so much cpu in all."""
    return [
        Moment(at=NOW + timedelta(minutes=i), total={Source.CPU: total}, replicas=replicas)
        for i, total in enumerate(totals)
    ]


def numbers(course):
    return [number for _, number in course.replicas]


def test_the_load_is_shared_by_as_many_as_there_would_have_been():
    course = replay(a_policy(), moments(50, 200, 200, 200), requested=REQUEST, silent={})

    assert numbers(course) == [1, 4, 4, 4]
    assert (course.changes, course.flaps, course.highest) == (1, 0, 4)


def test_a_window_keeps_the_number_from_turning():
    waves = moments(*[200, 200, 50, 50] * 5)
    nervous = replay(a_policy(), waves, requested=REQUEST, silent={})
    calm = replay(a_policy(down=DEFAULT_DOWN), waves, requested=REQUEST, silent={})

    assert (nervous.flaps, calm.flaps) == (8, 0)
    assert nervous.replica_hours < calm.replica_hours


def test_replica_hours_are_what_ran_for_how_long():
    course = replay(a_policy(minimum=3), moments(*[0] * 61), requested=REQUEST, silent={})

    assert course.replica_hours == 3.0


def test_it_begins_with_what_there_was_within_the_bounds():
    many = replay(a_policy(maximum=5), moments(0, replicas=9), requested=REQUEST, silent={})

    assert numbers(many) == [1]
    assert many.highest == 1


def test_a_silent_source_changes_nothing():
    policy = replace(a_policy(), minimum=2)
    course = replay(
        policy, moments(900, 900), requested=REQUEST, silent={Source.CPU: "nobody measures"}
    )

    assert numbers(course) == [2, 2]


def test_without_anything_measured_there_is_no_course():
    course = replay(a_policy(), [], requested=REQUEST, silent={})

    assert (course.replicas, course.replica_hours, course.highest) == ((), 0, 0)
