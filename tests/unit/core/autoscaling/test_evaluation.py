"""One evaluation as a whole: order of questions, several metrics, freezes, and what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.autoscaling.decision import Word
from orchestrator.core.autoscaling.evaluation import evaluate
from orchestrator.core.autoscaling.policy import (
    DEFAULT_DOWN,
    Metric,
    PacePolicy,
    PolicyKind,
    Rules,
    Source,
    TargetKind,
)
from orchestrator.core.autoscaling.sentences import message
from tests.loads import a_load, a_policy, cpu, loads, recommended, sample, seen, value_of

RPS = value_of(Source.REQUESTS_PER_SECOND, 10_000)
SILENT = {Source.REQUESTS_PER_SECOND: "no gateway reports requests"}
ONE_A_MINUTE = Rules(
    window_seconds=0,
    policies=(PacePolicy(kind=PolicyKind.PODS, value=1, period_seconds=60),),
)


@pytest.mark.parametrize(
    ("observation", "policy", "desired", "word"),
    [
        pytest.param(seen(loads(90, 90)), a_policy(), 4, Word.SCALED_UP, id="more-load"),
        pytest.param(seen(loads(10, 10)), a_policy(), 1, Word.SCALED_DOWN, id="less-load"),
        pytest.param(seen(loads(50, 50)), a_policy(), 2, Word.AT_TARGET, id="as-wanted"),
        pytest.param(seen((), current=0), a_policy(), 0, Word.DISABLED, id="zero-replicas"),
        pytest.param(
            seen(loads(90, 90, 90)), a_policy(maximum=2), 2, Word.ABOVE_MAXIMUM, id="above-maximum"
        ),
        pytest.param(
            seen(loads(1)), a_policy(minimum=3), 3, Word.BELOW_MINIMUM, id="below-minimum"
        ),
        pytest.param(
            seen(loads(90, 90)), a_policy(maximum=2), 2, Word.TOO_MANY, id="more-than-the-maximum"
        ),
        pytest.param(
            seen(loads(1, 1)), a_policy(minimum=2), 2, Word.TOO_FEW, id="less-than-the-minimum"
        ),
        pytest.param(
            seen(loads(10, 10), recommendations=recommended((9, 2))),
            a_policy(down=DEFAULT_DOWN),
            2,
            Word.DOWN_STABILISED,
            id="the-window-holds",
        ),
        pytest.param(
            seen(loads(10, 10), rolling_out=True), a_policy(), 2, Word.ROLLING_OUT, id="rollout"
        ),
        pytest.param(
            seen(loads(90, 90), rolling_out=True), a_policy(), 4, Word.SCALED_UP, id="rollout-up"
        ),
        pytest.param(seen(loads(missing=2)), a_policy(), 2, Word.NO_METRICS, id="no-values"),
    ],
)
def test_the_number_follows_from_the_observation(observation, policy, desired, word):
    decision = evaluate(policy, observation)

    assert (decision.desired, decision.word) == (desired, word)


def test_the_pace_lets_a_part_of_it_happen():
    decision = evaluate(a_policy(up=ONE_A_MINUTE), seen(loads(90, 90)))

    assert (decision.proposed, decision.desired, decision.held_by) == (4, 3, (Word.UP_LIMITED,))


def test_of_several_metrics_the_highest_counts():
    memory = Metric(source=Source.MEMORY, target_kind=TargetKind.UTILIZATION, target=50)
    replicas = [a_load(name, 60) for name in "ab"]
    for replica in replicas:
        replica.samples[Source.MEMORY] = sample(100 << 20)

    decision = evaluate(a_policy(cpu(), memory), seen(tuple(replicas)))

    assert (decision.desired, decision.leader) == (4, memory)


@pytest.mark.parametrize(
    ("used", "desired", "word"),
    [
        pytest.param(90, 4, Word.SCALED_UP, id="up-is-done"),
        pytest.param(10, 2, Word.NO_METRICS, id="down-is-not"),
    ],
)
def test_with_a_silent_metric_the_others_may_only_scale_up(used, desired, word):
    observation = seen(loads(used, used), silent=SILENT)

    decision = evaluate(a_policy(cpu(), RPS), observation)

    assert (decision.desired, decision.word) == (desired, word)


def test_a_decision_says_its_arithmetic():
    decision = evaluate(a_policy(), seen(loads(90, 90, 90, missing=1)))

    assert message(decision) == (
        "from 4 to 6 replicas: cpu: 90 % on average of 3 replicas (270m of 300m requested), "
        "target 50 %, ratio 1.8; 1 without a value counted as 0: 67 % on average of 4 replicas "
        "(270m of 400m requested), target 50 %, ratio 1.34; 1.34 × 4 = 5.36, rounded up 6"
    )


@pytest.mark.parametrize(
    ("observation", "policy", "told"),
    [
        pytest.param(
            seen(loads(54, 54)),
            a_policy(),
            "the number stays 2: cpu: 54 % on average of 2 replicas (108m of 200m requested), "
            "target 50 %, ratio 1.08; within the tolerance",
            id="nothing-happens-within-the-tolerance",
        ),
        pytest.param(
            seen(loads(60, 60, unready=1)),
            a_policy(),
            "the number stays 3: cpu: 60 % on average of 2 replicas (120m of 200m requested), "
            "target 50 %, ratio 1.2; 1 not ready counted as 0: 40 % on average of 3 replicas "
            "(120m of 300m requested), target 50 %, ratio 0.8; which would turn the direction, "
            "so nothing changes",
            id="nor-when-the-direction-would-turn",
        ),
        pytest.param(
            seen(loads(20_000, source=Source.REQUESTS_PER_SECOND), silent=SILENT),
            a_policy(RPS),
            "the number stays 1, as not every metric is known: "
            "requests per second: no gateway reports requests",
            id="nor-when-nobody-measures",
        ),
        pytest.param(
            seen(loads(90, 90), current=2),
            a_policy(maximum=3),
            "from 2 to 3 replicas: cpu: 90 % on average of 2 replicas (180m of 200m requested), "
            "target 50 %, ratio 1.8; 1.8 × 2 = 3.6, rounded up 4; "
            "more than the maximum of 3 would be needed",
            id="the-maximum-takes-its-share",
        ),
        pytest.param(
            seen((), current=0),
            a_policy(),
            "nothing is done while 0 replicas are asked for",
            id="zero-replicas-switch-it-off",
        ),
    ],
)
def test_a_decision_says_why_nothing_more_happens(observation, policy, told):
    assert message(evaluate(policy, observation)) == told


def a_request_load(*busy, per_second=0, pending=False):
    """Return replicas with so many requests under way each, and so many a second."""
    return tuple(
        replace(
            a_load(f"r{i}", pending=pending),
            samples={
                Source.CPU: sample(30),
                Source.REQUESTS_PER_SECOND: sample(per_second),
                Source.REQUESTS_IN_FLIGHT: sample(under_way),
            },
        )
        for i, under_way in enumerate(busy)
    )


SLEEPY = a_policy(RPS, minimum=0, maximum=4)


@pytest.mark.parametrize(
    ("observation", "policy", "desired", "word"),
    [
        pytest.param(seen(a_request_load(0, 0)), SLEEPY, 0, Word.SCALED_DOWN, id="no-request"),
        pytest.param(
            seen(a_request_load(0)),
            a_policy(cpu(10), RPS, minimum=0),
            0,
            Word.SCALED_DOWN,
            id="other-metrics-keep-nobody-awake",
        ),
        pytest.param(
            seen(a_request_load(0), recommendations=recommended((9, 1))),
            replace(SLEEPY, down=DEFAULT_DOWN),
            1,
            Word.DOWN_STABILISED,
            id="the-window-holds-the-last",
        ),
        pytest.param(seen(a_request_load(1000)), SLEEPY, 1, Word.STILL_BUSY, id="one-under-way"),
        pytest.param(
            seen(a_request_load(0), waiting=True), SLEEPY, 1, Word.STILL_BUSY, id="one-waits"
        ),
        pytest.param(
            seen(a_request_load(0, pending=True)), SLEEPY, 1, Word.NO_METRICS, id="it-still-starts"
        ),
        pytest.param(seen(a_request_load(0, 100)), SLEEPY, 1, Word.SCALED_DOWN, id="down-to-one"),
        pytest.param(seen((), current=0), SLEEPY, 0, Word.DISABLED, id="switched-off"),
        pytest.param(
            seen((), current=0, waiting=True), SLEEPY, 0, Word.DISABLED, id="off-whoever-waits"
        ),
        pytest.param(seen((), current=0, asleep=True), SLEEPY, 0, Word.ASLEEP, id="asleep"),
        pytest.param(
            seen((), current=0, asleep=True, waiting=True), SLEEPY, 1, Word.WOKEN, id="woken"
        ),
        pytest.param(
            seen((), current=0, asleep=True, unwatched="there is no gateway"),
            SLEEPY,
            1,
            Word.UNWATCHED,
            id="nobody-would-notice",
        ),
        pytest.param(
            seen((), current=0, asleep=True),
            a_policy(RPS, minimum=2),
            2,
            Word.BELOW_MINIMUM,
            id="the-bounds-have-changed",
        ),
    ],
)
def test_no_replica_runs_while_no_request_comes(observation, policy, desired, word):
    decision = evaluate(policy, observation)

    assert (decision.desired, decision.word) == (desired, word)
    assert message(decision)


def test_who_is_woken_is_called_for():
    """So that the window for scaling down begins with the first request."""
    assert evaluate(SLEEPY, seen((), current=0, asleep=True, waiting=True)).proposed == 1


def test_it_says_why_nobody_may_sleep():
    woken = evaluate(SLEEPY, seen((), current=0, asleep=True, unwatched="there is no gateway"))

    assert message(woken) == (
        "from 0 to 1 replica: nobody would notice a request; there is no gateway"
    )
