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
    # Nothing at all is the interesting case, and rare among all others.
    under_way=st.just([0]) | st.lists(st.integers(0, 2), min_size=1, max_size=4),
    per_second=st.just(0) | st.integers(0, 30_000),
    waiting=st.booleans(),
    pending=st.booleans(),
    used=st.integers(0, 400),
)
def test_nobody_falls_asleep_over_a_request(under_way, per_second, waiting, pending, used):
    policy = a_policy(value_of(Source.REQUESTS_PER_SECOND, 10_000), cpu(), minimum=0, maximum=6)
    replicas = tuple(
        replace(
            a_load(f"r{index}", pending=pending),
            samples={
                Source.REQUESTS_PER_SECOND: sample(per_second),
                Source.REQUESTS_IN_FLIGHT: sample(number),
                Source.CPU: sample(used),
            },
        )
        for index, number in enumerate(under_way)
    )

    desired = evaluate(policy, seen(replicas, waiting=waiting)).desired

    is_quiet = not (waiting or pending or per_second or any(under_way))
    assert (desired == 0) == is_quiet


IN_FLIGHT = Source.REQUESTS_IN_FLIGHT
drowsy = st.builds(
    lambda maximum, target, others, **fields: Policy(
        minimum=0, maximum=maximum, metrics=(value_of(IN_FLIGHT, target), *others), **fields
    ),
    maximum=st.integers(1, 30),
    target=st.integers(100, 5000),
    others=st.sampled_from(((), (cpu(50),))),
    up=some_rules,
    down=some_rules,
)


def _served(under_way, used=None, **fields):
    """Return what is seen of replicas with so many requests (in thousandths) each."""
    of_cpu = {} if used is None else {Source.CPU: sample(used)}
    replicas = tuple(
        replace(a_load(f"r{index}"), samples={IN_FLIGHT: sample(number), **of_cpu})
        for index, number in enumerate(under_way)
    )
    return seen(replicas, asleep=not replicas, **fields)


requests = st.sampled_from(([], [0], [0, 0])) | st.lists(st.integers(0, 9000), max_size=12)


@given(
    policy=drowsy,
    under_way=requests,
    used=st.none() | st.integers(0, 400),
    waiting=st.booleans(),
    rolling_out=st.booleans(),
    past=agos,
)
def test_who_may_sleep_stays_within_the_bounds(policy, under_way, used, waiting, rolling_out, past):
    observation = _served(
        under_way,
        used,
        waiting=waiting,
        rolling_out=rolling_out,
        recommendations=recommended(*past),
    )

    desired = evaluate(policy, observation).desired

    assert 0 <= desired <= policy.maximum
    assert desired >= 1 or not (waiting or any(under_way))


@given(policy=drowsy, under_way=requests, more=st.integers(0, 9000), waiting=st.booleans())
def test_more_requests_never_send_anybody_to_sleep(policy, under_way, more, waiting):
    light = evaluate(policy, _served(under_way, 50, waiting=waiting)).desired
    heavy = evaluate(policy, _served([n + more for n in under_way], 50, waiting=True)).desired

    assert heavy >= light


@given(total=st.integers(0, 30_000), begin=st.integers(0, 10), window=st.integers(0, 120))
def test_constant_requests_neither_wake_nor_send_to_sleep_for_ever(total, begin, window):
    down = Rules(window_seconds=window, select=Select.MAX, policies=a_policy().down.policies)
    policy = a_policy(value_of(IN_FLIGHT, 1000), minimum=0, maximum=50, down=down)

    course = _course_of_requests(policy, total, begin)

    steps = [after - before for before, after in pairwise(course) if after != before]
    assert sum((before > 0) != (after > 0) for before, after in pairwise(steps)) <= 1
    assert len(set(course[-20:])) == 1
    assert (course[-1] == 0) == (total == 0)


def _course_of_requests(policy, total, begin, rounds=60):
    """Return the numbers that follow when requests are shared, or wait where there is nobody."""
    course, recommendations, now = [begin], [], NOW
    for _ in range(rounds):
        current = course[-1]
        shared = [total // current + (i < total % current) for i in range(current)]
        observation = replace(
            _served(shared, waiting=not current and total > 0),
            recommendations=tuple(recommendations),
            now=now,
        )
        decision = evaluate(policy, observation)
        if decision.proposed is not None:
            recommendations.append(Recommendation(at=now, replicas=decision.proposed))
        course.append(decision.desired)
        now += timedelta(seconds=15)
    return course
