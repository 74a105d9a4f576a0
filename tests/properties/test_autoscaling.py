"""What holds for every policy and load: bounds, monotony, calm under constant load."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.autoscaling.evaluation import evaluate
from orchestrator.core.autoscaling.observation import Recommendation, Resize
from orchestrator.core.autoscaling.policy import (
    PacePolicy,
    Policy,
    PolicyKind,
    Rules,
    Select,
    Source,
)
from tests.factories import NOW
from tests.loads import (
    a_load,
    a_policy,
    cpu,
    loads,
    recommended,
    resized,
    sample,
    seen,
    value_of,
)

paces = st.builds(
    PacePolicy,
    kind=st.sampled_from(PolicyKind),
    value=st.integers(1, 200),
    period_seconds=st.integers(1, 1800),
)
some_rules = st.builds(
    Rules,
    window_seconds=st.integers(0, 3600),
    select=st.sampled_from(Select),
    policies=st.lists(paces, min_size=1, max_size=3).map(tuple),
)
bounds = st.tuples(st.integers(1, 30), st.integers(0, 30)).map(lambda b: (b[0], sum(b)))
metrics = st.sampled_from(((cpu(50),), (value_of(Source.CPU, 40),), (cpu(50), cpu(90))))
policies = st.builds(
    lambda bound, **fields: Policy(minimum=bound[0], maximum=bound[1], **fields),
    bounds,
    metrics=metrics,
    up=some_rules,
    down=some_rules,
)
values = st.lists(st.integers(0, 400), min_size=1, max_size=12)
agos = st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 40)), max_size=4)


@st.composite
def observations(draw, current=None):
    """Return replicas with and without values, in some state, with some past."""
    replicas = loads(
        *draw(values), missing=draw(st.integers(0, 3)), unready=draw(st.integers(0, 3))
    )
    return seen(
        replicas,
        current or draw(st.integers(0, 40)),
        rolling_out=draw(st.booleans()),
        recommendations=recommended(*draw(agos)),
        resizes=resized(*draw(agos)),
    )


@given(policy=policies, observation=observations())
def test_the_result_lies_within_the_bounds(policy, observation):
    desired = evaluate(policy, observation).desired

    assert desired == 0 if not observation.current else policy.minimum <= desired <= policy.maximum


@given(policy=policies, observation=observations(), more=st.integers(0, 300))
def test_more_load_never_gives_fewer_replicas(policy, observation, more):
    observation = replace(observation, current=len(observation.replicas))
    heavier = replace(
        observation,
        replicas=tuple(
            a_load(r.uid, r.samples[Source.CPU].value + more) if r.samples else r
            for r in observation.replicas
        ),
    )

    assert evaluate(policy, heavier).desired >= evaluate(policy, observation).desired


def _course(policy, total, begin, rounds=60):
    """Return the numbers that follow when the same load is shared by as many as there are."""
    course, recommendations, resizes, now = [begin], [], [], NOW
    for _ in range(rounds):
        current = course[-1]
        shared = [total // current + (i < total % current) for i in range(current)]
        observation = replace(
            seen(loads(*shared)),
            recommendations=tuple(recommendations),
            resizes=tuple(resizes),
            now=now,
        )
        decision = evaluate(policy, observation)
        if decision.proposed is not None:
            recommendations.append(Recommendation(at=now, replicas=decision.proposed))
        resizes.append(Resize(at=now, change=decision.desired - current))
        course.append(decision.desired)
        now += timedelta(seconds=15)
    return course


@given(total=st.integers(0, 3000), begin=st.integers(1, 50))
def test_a_constant_load_turns_the_number_at_most_once(total, begin):
    # Whole percents may undershoot by one replica: 56 over 10 is cut to 5 % and gives 1, not 2.
    course = _course(a_policy(maximum=50), total, begin)

    steps = [after - before for before, after in pairwise(course) if after != before]
    turns = sum((before > 0) != (after > 0) for before, after in pairwise(steps))

    assert turns <= 1


@given(total=st.integers(0, 3000), begin=st.integers(1, 50))
def test_a_constant_load_comes_to_rest(total, begin):
    course = _course(a_policy(maximum=50), total, begin)

    assert len(set(course[-20:])) == 1


@given(
    under_way=st.lists(st.integers(0, 2), min_size=1, max_size=4),
    per_second=st.integers(0, 30_000),
    waiting=st.booleans(),
    pending=st.booleans(),
)
def test_nobody_falls_asleep_over_a_request(under_way, per_second, waiting, pending):
    policy = a_policy(value_of(Source.REQUESTS_PER_SECOND, 10_000), minimum=0, maximum=6)
    replicas = tuple(
        replace(
            a_load(f"r{index}", pending=pending),
            samples={
                Source.REQUESTS_PER_SECOND: sample(per_second),
                Source.REQUESTS_IN_FLIGHT: sample(number),
            },
        )
        for index, number in enumerate(under_way)
    )

    desired = evaluate(policy, seen(replicas, waiting=waiting)).desired

    is_quiet = not (waiting or pending or per_second or any(under_way))
    assert (desired == 0) == is_quiet
