"""The loop: what was measured becomes a decision, a row, and a number; nothing is forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from orchestrator.manifests.manifest import parse
from orchestrator.models import (
    Autoscaler,
    Deployment,
    Event,
    MetricBlock,
    Node,
    Replica,
    Revision,
    ScalingDecision,
)
from orchestrator.operations import applying, autoscaling, deployments, measurements
from tests.cluster import change, manifest
from tests.integration.api.test_autoscalers import autoscaler
from tests.integration.test_ingest import report, status
from tests.integration.test_measurements import told, uses
from worker import protocol

BUSY = manifest(replicas=2).replace("{memory: 64Mi}", "{cpu: 100m, memory: 64Mi}")
QUICK = autoscaler(maximum=8) + "  behavior: {scaleDown: {stabilizationWindowSeconds: 20}}\n"


class Scene:
    """Two replicas that run and are ready for long, an autoscaler at 80 %, and a clock."""

    def __init__(self) -> None:
        self.now = timezone.now()
        report(1, full=True, facts=protocol.NodeFacts(runtimes=("in-memory",)))
        applying.apply(parse(BUSY), change())
        applying.apply(parse(QUICK), change())
        self.deployment = Deployment.objects.get()
        self.sequence = 0
        self.run_replicas(2)

    def run_replicas(self, number: int) -> None:
        """Let so many replicas run."""
        revision = Revision.objects.get(number=self.deployment.revision)
        for slot in range(Replica.objects.count(), number):
            Replica.objects.create(
                uid=f"r{slot}",
                deployment=self.deployment,
                revision=revision,
                slot=slot,
                node_id="n1",
                phase="running",
                ready=True,
                readiness_changed_at=self.now - timedelta(hours=1),
                started_at=self.now - timedelta(hours=1),
                resources={"cpu_request_millis": 100, "cpu_limit_millis": 100},
                created_at=self.now,
            )

    def look(self, *used: int, later: float = 5) -> ScalingDecision:
        """Let time pass, the node measure, and the autoscaler look."""
        self.now += timedelta(seconds=later)
        self.sequence += 1
        rows = Replica.objects.filter(phase="running").order_by("uid")
        measured = [uses(row, cpu) for row, cpu in zip(rows, used, strict=False)]
        measurements.take(told(self.sequence, *measured), now=self.now)
        autoscaling.run(now=self.now)
        self.deployment.refresh_from_db()
        return ScalingDecision.objects.first()


@pytest.fixture
def scene(sent) -> Scene:
    return Scene()


def test_a_load_above_the_target_scales_up_with_its_reason(scene: Scene):
    scene.look(160, 160)

    row = scene.deployment
    assert (row.replicas, row.autoscaled, row.settled) == (4, 4, False)
    event = Event.objects.get(reason="Scaled")
    assert (event.actor, row.cause) == ("kijabi", event)
    assert event.message == (
        'autoscaler "web": from 2 to 4 replicas: cpu: 160 % on average of 2 replicas '
        "(320m of 200m requested), target 80 %, ratio 2; 2 × 2 = 4"
    )


def test_a_change_is_no_new_generation(scene: Scene):
    scene.look(160, 160)

    assert scene.deployment.generation == 1


def test_every_look_is_a_row_with_its_arithmetic(scene: Scene):
    scene.look(80, 80)
    scene.look(80, 82)

    rows = list(ScalingDecision.objects.order_by("pk"))
    assert [(row.current, row.desired, row.word) for row in rows] == [
        (2, 2, "DesiredWithinRange"),
        (2, 2, "DesiredWithinRange"),
    ]
    metric = rows[1].detail["metrics"][0]
    assert metric["used"] == {"r0": 80, "r1": 81}
    assert metric["measured"] == {
        "total": 161,
        "basis": 200,
        "replicas": 2,
        "value": 80,
        "ratio": "1/1",
    }


def test_scaling_down_waits_for_the_window(scene: Scene):
    first = scene.look(0, 0)
    words = [scene.look(0, 0).word for _ in range(3)]
    applied = scene.look(0, 0)

    assert first.word == "ScaleDownStabilized"
    assert set(words) == {"ScaleDownStabilized"}
    assert (applied.word, scene.deployment.replicas) == ("TooFewReplicas", 2)


def test_down_to_what_the_window_and_the_minimum_allow(scene: Scene):
    scene.look(160, 160)
    scene.run_replicas(4)
    numbers = []
    for _ in range(6):
        scene.look(0, 0, 0, 0)
        numbers.append(scene.deployment.replicas)

    assert numbers[:3] == [4, 4, 4]
    assert numbers[-1] == 2


def test_what_was_proposed_is_remembered_over_a_restart(scene: Scene):
    scene.look(160, 160)
    scene.run_replicas(4)

    # Nothing but rows is left of the look before.
    assert scene.look(0, 0, 0, 0).word == "ScaleDownStabilized"


def test_nothing_is_scaled_down_during_a_rollout(scene: Scene):
    scene.look(160, 160)
    scene.run_replicas(4)
    applying.apply(parse(BUSY.replace('"1"', '"2"')), change())

    words = [scene.look(0, 0, 0, 0, later=30).word for _ in range(2)]

    assert words == ["FrozenByRollout", "FrozenByRollout"]
    assert scene.deployment.replicas == 4


def test_replicas_on_a_lost_node_do_not_count(scene: Scene):
    Node.objects.create(name="n2", state="lost", seen_at=scene.now, joined_at=scene.now)
    Replica.objects.filter(uid="r1").update(node_id="n2")

    scene.look(160)

    assert dict(ScalingDecision.objects.first().detail["metrics"][0]["used"]) == {"r0": 160}


def test_without_values_nothing_changes_and_one_warning_says_so(scene: Scene):
    scene.look(80, 80)
    MetricBlock.objects.all().delete()
    rows = [scene.look(later=30) for _ in range(3)]

    assert {row.word for row in rows} == {"FailedGetMetric"}
    assert Event.objects.filter(reason="MetricsMissing").count() == 1
    assert rows[0].message == (
        "the number stays 2, as not every metric is known: cpu: none of 2 replicas has a value of "
        "cpu that counts"
    )


def test_zero_replicas_switch_it_off(scene: Scene):
    deployments.scale("default", "web", 0, change())

    assert scene.look(160, 160).word == "ScalingDisabled"


def test_without_its_deployment_it_says_so(scene: Scene):
    Deployment.objects.update(deleting=True)

    assert scene.look(160, 160).message == "there is no such deployment"


def test_a_number_that_changed_meanwhile_is_left_alone(scene: Scene, monkeypatch):
    def too_late(deployment, replicas):
        raise AssertionError("it was carried out")

    real = autoscaling.loads.observe

    def observe(now):
        found = real(now)
        Deployment.objects.update(replicas=3, autoscaled=3)
        return found

    monkeypatch.setattr(autoscaling.loads, "observe", observe)
    monkeypatch.setattr(autoscaling.replica_counts, "autoscale", too_late)

    scene.look(160, 160)

    assert scene.deployment.replicas == 3


def test_a_look_costs_the_same_however_many_there_are(scene: Scene, django_assert_max_num_queries):
    for index in range(5):
        name = f"d{index}"
        applying.apply(parse(manifest(name=name)), change())
        applying.apply(parse(autoscaler(name=name, target=name)), change())
    assert Autoscaler.objects.count() == 6

    with django_assert_max_num_queries(13):
        autoscaling.run(now=scene.now)


def test_quiet_decisions_go_changes_stay(scene: Scene):
    scene.look(160, 160)
    scene.look(80, 80, 80, 80)

    autoscaling.prune(now=scene.now + timedelta(hours=2))

    [kept] = ScalingDecision.objects.all()
    assert (kept.current, kept.desired) == (2, 4)


def test_two_beats_look_once(scene: Scene):
    scene.look(80, 80)

    autoscaling.run(now=scene.now + timedelta(seconds=0.2))

    assert ScalingDecision.objects.count() == 1


def test_status_keeps_when_readiness_changed(scene: Scene):
    uid = Replica.objects.first().uid
    report(2, status(uid, protocol.NodePhase.RUNNING, ready=False))

    assert Replica.objects.get(uid=uid).readiness_changed_at > scene.now - timedelta(minutes=1)
