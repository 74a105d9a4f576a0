"""The rollout arithmetic against an independent copy of Kubernetes', and its two bounds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.rollout import Counts, next_steps
from orchestrator.core.spec import DeploymentSpec
from tests.properties import kubernetes_model
from tests.strategies import rolling_policies

sets_of = st.lists(
    st.integers(0, 8).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))),
    min_size=1,
    max_size=4,
)


def fixed_point(sets, spec):
    numbers = range(1, len(sets) + 1)
    counts = Counts(
        current=len(sets),
        desired=dict(zip(numbers, (size for size, _ in sets), strict=True)),
        available=dict(zip(numbers, (serving for _, serving in sets), strict=True)),
    )
    while steps := next_steps(counts, spec, old_are_gone=True):
        counts = counts.after(steps)
    return counts


@settings(max_examples=6 * settings().max_examples)
@given(sets=sets_of, replicas=st.integers(0, 9), policy=rolling_policies)
def test_it_ends_where_kubernetes_ends(sets, replicas, policy):
    theirs = [list(pair) for pair in sets]

    ours = fixed_point(sets, DeploymentSpec(replicas=replicas, policy=policy))
    while kubernetes_model.sync(theirs, replicas, policy.max_surge, policy.max_unavailable):
        pass

    assert list(ours.desired.values()) == [size for size, _ in theirs]


@settings(max_examples=6 * settings().max_examples)
@given(sets=sets_of, replicas=st.integers(0, 9), policy=rolling_policies)
def test_both_bounds_hold(sets, replicas, policy):
    total = sum(size for size, _ in sets)
    serving = sum(available for _, available in sets)
    goal = sets[-1]
    surplus = max(0, goal[0] - replicas)

    counts = fixed_point(sets, DeploymentSpec(replicas=replicas, policy=policy))

    assert counts.total <= max(total, replicas + policy.max_surge)
    floor = max(0, replicas - policy.max_unavailable)
    assert counts.all_available >= min(serving - min(surplus, goal[1]), floor)


@given(
    replicas=st.integers(0, 9),
    policy=rolling_policies,
    old=st.lists(st.integers(0, 6), max_size=3),
)
def test_a_rollout_whose_replicas_serve_ends_with_new_ones_only(replicas, policy, old):
    spec = DeploymentSpec(replicas=replicas, policy=policy)
    sets = [*((size, size) for size in old), (0, 0)]
    for _ in range(sum(old) + replicas + 2):
        counts = fixed_point(sets, spec)
        sets = [(size, size) for size in counts.desired.values()]

    assert sets[-1] == (replicas, replicas)
    assert all(size == 0 for size, _ in sets[:-1])
