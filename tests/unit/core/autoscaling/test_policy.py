"""Wishes nobody can fulfil are refused on creation."""

from __future__ import annotations

from fractions import Fraction

import pytest

from orchestrator.core.autoscaling.policy import (
    Metric,
    PacePolicy,
    Policy,
    PolicyKind,
    Rules,
    Source,
    TargetKind,
)
from tests.loads import cpu

FREE = PacePolicy(kind=PolicyKind.PODS, value=1, period_seconds=15)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        pytest.param(lambda: cpu(0), "greater than 0", id="a-target-of-0"),
        pytest.param(
            lambda: Metric(
                source=Source.REQUESTS_IN_FLIGHT, target_kind=TargetKind.UTILIZATION, target=1
            ),
            "has no utilisation",
            id="a-share-of-what-nobody-requests",
        ),
        pytest.param(
            lambda: Policy(minimum=0, maximum=1, metrics=(cpu(),)), "of requests", id="zero"
        ),
        pytest.param(lambda: Policy(minimum=3, maximum=2, metrics=(cpu(),)), "0 ≤", id="crossed"),
        pytest.param(lambda: Policy(maximum=2, metrics=()), "one metric", id="nothing-measured"),
        pytest.param(
            lambda: PacePolicy(kind=PolicyKind.PODS, value=0, period_seconds=15),
            "greater than 0",
            id="a-pace-of-0",
        ),
        pytest.param(
            lambda: PacePolicy(kind=PolicyKind.PODS, value=1, period_seconds=1801),
            "between 1 and 1800",
            id="a-period-nobody-remembers",
        ),
        pytest.param(
            lambda: Rules(window_seconds=3601, policies=(FREE,)), "and 3600", id="a-long-window"
        ),
        pytest.param(
            lambda: Rules(window_seconds=0, policies=(FREE,), tolerance=Fraction(-1)),
            "negative",
            id="a-negative-tolerance",
        ),
        pytest.param(lambda: Rules(window_seconds=0, policies=()), "policy", id="no-policy"),
    ],
)
def test_nonsense_is_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()
