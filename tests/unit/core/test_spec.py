"""What may be asked for, and how bounds become counts."""

import pytest

from orchestrator.core.spec import MAX_REPLICAS, UpdatePolicy
from tests.factories import a_policy, a_spec


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        pytest.param(1, "25%", "25%", (1, 0), id="one-replica"),
        pytest.param(3, "25%", "25%", (1, 0), id="three-replicas"),
        pytest.param(4, "25%", "25%", (1, 1), id="four-replicas"),
        pytest.param(10, "25%", "25%", (3, 2), id="ten-replicas"),
        pytest.param(2, 0, "1%", (0, 1), id="two-zeros-become-one-unavailable"),
        pytest.param(9, 2, 3, (2, 3), id="counts-stay"),
    ],
)
def test_surge_rounds_up_and_unavailable_down(replicas, surge, unavailable, expected):
    policy = UpdatePolicy.resolve(replicas=replicas, surge=surge, unavailable=unavailable)

    assert (policy.max_surge, policy.max_unavailable) == expected


@pytest.mark.parametrize("value", ["half", "25", "-5%", "%"])
def test_a_bound_that_is_no_percentage_is_refused(value):
    with pytest.raises(ValueError, match="neither a count nor a percentage"):
        UpdatePolicy.resolve(replicas=3, surge=value, unavailable=0)


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        pytest.param((0, 0), "must not both be zero", id="no-step-would-be-possible"),
        pytest.param((-1, 1), "must not be negative", id="negative-surge"),
        pytest.param((1, -1), "must not be negative", id="negative-unavailable"),
    ],
)
def test_impossible_bounds_are_refused(bounds, why):
    with pytest.raises(ValueError, match=why):
        a_policy(*bounds)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        pytest.param({"replicas": -1}, "replicas must be between", id="negative-replicas"),
        pytest.param({"replicas": MAX_REPLICAS + 1}, "replicas must be between", id="too-many"),
        pytest.param({"min_ready_seconds": -1}, "must not be negative", id="negative-wait"),
        pytest.param({"revision_history_limit": -1}, "must not be negative", id="negative-limit"),
        pytest.param(
            {"min_ready_seconds": 60, "progress_deadline_seconds": 60},
            "must be greater than minReadySeconds",
            id="a-deadline-nothing-could-meet",
        ),
    ],
)
def test_numbers_out_of_range_are_refused(fields, why):
    with pytest.raises(ValueError, match=why):
        a_spec(**fields)
