"""What one metric calls for, against the golden vectors of Kubernetes' replica calculator."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest

from orchestrator.core.autoscaling.decision import Outcome
from orchestrator.core.autoscaling.policy import DEFAULT_UP, Source
from orchestrator.core.autoscaling.proposal import propose
from tests.factories import NOW
from tests.loads import a_load, a_policy, cpu, loads, sample, seen, unhurried, value_of


def proposed(metric, replicas, current=None, **fields):
    policy = a_policy(metric, **fields)
    return propose(policy, metric, seen(replicas, current)).proposal


@pytest.mark.parametrize(
    ("used", "missing", "unready", "expected"),
    [
        pytest.param((90,) * 4, 0, 0, 8, id="four-at-90-of-50-need-eight"),
        pytest.param((54,) * 4, 0, 0, 4, id="a-ratio-of-1.08-is-tolerated"),
        pytest.param((56,) * 4, 0, 0, 5, id="a-ratio-of-1.12-is-not"),
        pytest.param((90,) * 3, 1, 0, 6, id="on-the-way-up-a-missing-one-uses-nothing"),
        pytest.param((90,) * 2, 2, 0, 4, id="with-two-missing-nothing-is-left-of-the-rise"),
        pytest.param((10,) * 9, 1, 0, 4, id="on-the-way-down-a-missing-one-uses-all"),
        pytest.param((90,) * 4, 0, 2, 8, id="on-the-way-up-an-unready-one-uses-nothing"),
        pytest.param((60,) * 4, 0, 2, 6, id="unready-ones-would-turn-the-direction"),
        pytest.param((20,) * 4, 0, 2, 2, id="on-the-way-down-unready-ones-are-left-out"),
        pytest.param((46,) * 4, 0, 2, 6, id="and-do-not-make-a-tolerated-ratio-a-small-one"),
    ],
)
def test_utilisation_follows_the_golden_vectors(used, missing, unready, expected):
    replicas = loads(*used, missing=missing, unready=unready)

    assert proposed(cpu(50), replicas) == expected


@pytest.mark.parametrize(
    ("used", "missing", "expected"),
    [
        pytest.param((900,) * 4, 0, 8, id="four-at-900-of-500-need-eight"),
        pytest.param((100,) * 9, 1, 3, id="on-the-way-down-a-missing-one-uses-the-target"),
        pytest.param((900,) * 3, 1, 6, id="on-the-way-up-a-missing-one-uses-nothing"),
        pytest.param((500,) * 3, 1, 4, id="at-the-target-missing-ones-are-left-out"),
    ],
)
def test_an_average_value_is_compared_as_it_is(used, missing, expected):
    assert proposed(value_of(Source.CPU, 500), loads(*used, missing=missing)) == expected


def test_a_missing_one_uses_the_target_when_that_is_more_than_it_requests():
    verdict = propose(a_policy(), cpu(200), seen(loads(20, 20, missing=1)))

    assert verdict.assumed_missing == 200


def test_more_measured_than_wanted_do_not_turn_the_direction():
    assert proposed(cpu(50), loads(20, 20, 20, 20, missing=1), current=2) == 2


@pytest.mark.parametrize(
    ("used", "expected"),
    [pytest.param(70, 4, id="up-is-tolerated"), pytest.param(30, 3, id="down-is-not")],
)
def test_each_direction_has_its_tolerance(used, expected):
    tolerant = unhurried(DEFAULT_UP, tolerance=Fraction(1, 2))

    assert proposed(cpu(50), loads(*[used] * 4), up=tolerant) == expected


def test_utilisation_is_cut_to_whole_percents_as_in_kubernetes():
    verdict = propose(a_policy(), cpu(50), seen(loads(67, 68)))

    assert (verdict.measured.value, verdict.measured.ratio) == (67, Fraction(67, 50))


def test_ratios_are_exact_where_machine_numbers_would_add_a_replica():
    policy = a_policy(cpu(50), up=unhurried(DEFAULT_UP))

    verdict = propose(policy, cpu(50), seen(loads(*[56] * 25)))

    assert verdict.proposal == 28


@pytest.mark.parametrize("source", [Source.REQUESTS_PER_SECOND, Source.REQUESTS_IN_FLIGHT])
def test_requests_are_averaged_over_the_replicas(source):
    replicas = loads(30_000, 10_000, source=source)

    assert proposed(value_of(source, 10_000), replicas) == 4


def test_a_source_that_nobody_reports_says_so():
    replicas, told = loads(1, 2), "no gateway reports requests"
    metric = value_of(Source.REQUESTS_PER_SECOND, 10_000)
    observation = seen(replicas, silent={Source.REQUESTS_PER_SECOND: told})

    verdict = propose(a_policy(metric), metric, observation)

    assert (verdict.outcome, verdict.proposal, verdict.failure) == (Outcome.NO_METRICS, None, told)


def test_utilisation_needs_a_request():
    replicas = (a_load("a", 10), a_load("b", 10, requested={}))

    verdict = propose(a_policy(), cpu(), seen(replicas))

    assert verdict.failure == (
        "replicas request no cpu, so there is no utilisation; set resources.requests.cpu"
    )


@pytest.mark.parametrize(
    ("replica", "counts"),
    [
        pytest.param({"started_at": NOW - timedelta(hours=1)}, True, id="it-has-run-for-long"),
        pytest.param({"started_at": NOW - timedelta(minutes=4), "ready": False}, False, id="young"),
        pytest.param(
            {
                "started_at": NOW - timedelta(minutes=4),
                "readiness_changed_at": NOW - timedelta(seconds=10),
            },
            False,
            id="young-and-its-window-began-before-it-was-ready",
        ),
        pytest.param(
            {
                "started_at": NOW - timedelta(minutes=4),
                "readiness_changed_at": NOW - timedelta(seconds=20),
            },
            True,
            id="young-and-measured-since-it-was-ready",
        ),
        pytest.param(
            {
                "started_at": NOW - timedelta(minutes=9),
                "readiness_changed_at": NOW - timedelta(minutes=9),
                "ready": False,
            },
            False,
            id="it-never-was-ready",
        ),
        pytest.param(
            {
                "started_at": NOW - timedelta(minutes=9),
                "readiness_changed_at": NOW - timedelta(minutes=5),
                "ready": False,
            },
            True,
            id="it-was-ready-once",
        ),
        pytest.param({"readiness_changed_at": None}, False, id="nobody-has-looked-yet"),
        pytest.param({"leaving": True}, False, id="it-is-being-stopped"),
    ],
)
def test_the_cpu_of_a_start_does_not_count(replica, counts):
    verdict = propose(a_policy(), cpu(), seen((a_load("steady", 50), a_load("a", 50, **replica))))

    assert ("a" in dict(verdict.used)) is counts


def test_memory_counts_from_the_first_moment_on():
    metric = value_of(Source.MEMORY, 10)
    young = a_load("a", ready=False, readiness_changed_at=None)
    young.samples[Source.MEMORY] = sample(10)

    assert propose(a_policy(metric), metric, seen((young,))).used == (("a", 10),)


def test_the_surge_of_a_rollout_is_not_measured():
    surge = a_load("new", 0, started_at=NOW - timedelta(minutes=10))
    observation = seen((surge, *loads(50, 50)), current=2, rolling_out=True)

    verdict = propose(a_policy(), cpu(), observation)

    assert verdict.used == (("r0", 50), ("r1", 50))
