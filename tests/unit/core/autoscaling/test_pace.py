"""Windows and pace, against Kubernetes' stabilisation vectors and growth under its defaults."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core.autoscaling import pace
from orchestrator.core.autoscaling.observation import Resize
from orchestrator.core.autoscaling.policy import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    PacePolicy,
    PolicyKind,
    Rules,
    Select,
)
from tests.factories import NOW
from tests.loads import a_policy, recommended, resized, seen

PODS, PERCENT = PolicyKind.PODS, PolicyKind.PERCENT


def rules(*policies, select=Select.MAX, seconds=60):
    made = tuple(
        PacePolicy(kind=kind, value=value, period_seconds=seconds) for kind, value in policies
    )
    return Rules(window_seconds=0, select=select, policies=made)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param(((290, 10), (200, 8), (100, 6)), 10, id="the-highest-of-the-window-holds"),
        pytest.param(((400, 10), (301, 8), (100, 6)), 6, id="until-it-has-aged-out"),
        pytest.param(((400, 10), (300, 8)), 4, id="the-edge-of-the-window-is-out"),
    ],
)
def test_scaling_down_waits_for_the_window(before, expected):
    policy = a_policy(down=DEFAULT_DOWN)
    observation = seen(current=10, recommendations=recommended(*before))

    assert pace.stabilise(policy, observation, 4) == expected


def test_scaling_up_is_immediate_without_a_window():
    observation = seen(current=4, recommendations=recommended((10, 4), (5, 4)))

    assert pace.stabilise(a_policy(), observation, 9) == 9


def test_scaling_up_takes_the_lowest_of_its_window():
    policy = a_policy(up=replace(DEFAULT_UP, window_seconds=60))
    observation = seen(current=4, recommendations=recommended((30, 6), (10, 8)))

    assert pace.stabilise(policy, observation, 9) == 6


def test_the_present_number_stays_between_both_windows():
    policy = a_policy(up=replace(DEFAULT_UP, window_seconds=60), down=DEFAULT_DOWN)
    observation = seen(current=5, recommendations=recommended((30, 3), (10, 8)))

    assert pace.stabilise(policy, observation, 6) == 5


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        pytest.param(1, [5, 10, 20, 40, 80, 100], id="from-1-to-100-in-90-seconds"),
        pytest.param(4, [8, 16, 32, 64, 128, 200], id="from-4-to-200-in-90-seconds"),
    ],
)
def test_growth_under_the_defaults_is_that_of_kubernetes(begin, expected):
    current, resizes, seen_numbers, now = begin, [], [], NOW
    for _ in expected:
        observation = replace(seen(current=current, resizes=tuple(resizes)), now=now)
        grown = min(expected[-1], pace.highest_allowed(DEFAULT_UP, observation))
        resizes.append(Resize(at=now, change=grown - current))
        seen_numbers.append(grown)
        current, now = grown, now + timedelta(seconds=15)

    assert seen_numbers == expected


@pytest.mark.parametrize(
    ("made", "resizes", "expected"),
    [
        pytest.param(rules((PODS, 4)), (), 14, id="so-many-more"),
        pytest.param(rules((PERCENT, 25)), (), 13, id="a-share-is-rounded-up"),
        pytest.param(rules((PODS, 4)), ((30, 3),), 11, id="what-was-added-before-counts"),
        pytest.param(rules((PODS, 4)), ((30, -3),), 17, id="what-was-removed-may-come-back"),
        pytest.param(rules((PODS, 4)), ((60, 3),), 14, id="not-what-is-a-period-old"),
        pytest.param(rules((PODS, 4)), ((30, 9),), 10, id="never-below-the-present-number"),
        pytest.param(rules((PODS, 4), (PERCENT, 100)), (), 20, id="the-most-of-several"),
        pytest.param(
            rules((PODS, 4), (PERCENT, 100), select=Select.MIN), (), 14, id="or-the-least"
        ),
        pytest.param(rules((PODS, 4), select=Select.DISABLED), (), 10, id="or-none"),
    ],
)
def test_policies_limit_scaling_up(made, resizes, expected):
    observation = seen(current=10, resizes=resized(*resizes))

    assert pace.highest_allowed(made, observation) == expected


@pytest.mark.parametrize(
    ("made", "resizes", "expected"),
    [
        pytest.param(rules((PODS, 4)), (), 6, id="so-many-less"),
        pytest.param(rules((PERCENT, 25)), (), 7, id="a-share-leaves-whole-replicas-rounded-down"),
        pytest.param(rules((PODS, 4)), ((30, -3),), 9, id="what-was-removed-before-counts"),
        pytest.param(rules((PODS, 4)), ((30, -9),), 10, id="never-above-the-present-number"),
        pytest.param(rules((PODS, 4), (PERCENT, 100)), (), 0, id="the-most-of-several"),
        pytest.param(rules((PODS, 4), (PERCENT, 100), select=Select.MIN), (), 6, id="or-the-least"),
        pytest.param(rules((PODS, 4), select=Select.DISABLED), (), 10, id="or-none"),
    ],
)
def test_policies_limit_scaling_down(made, resizes, expected):
    observation = seen(current=10, resizes=resized(*resizes))

    assert pace.lowest_allowed(made, observation) == expected
