"""What nodes measured: kept once, thinned out, bounded, read back; never another node's."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from orchestrator.core import samples
from orchestrator.models import MetricBlock, Node, Replica
from orchestrator.operations import mail, measurements
from orchestrator.queries import metrics
from orchestrator.queries.metrics import Span
from tests.integration.test_ingest import assigned
from worker import protocol
from worker.measured import Measured, MeasuredReplica, MetricsReport

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def told(sequence: int, *replicas: MeasuredReplica, node: str = "n1", **fields) -> MetricsReport:
    fields.setdefault("used", Measured(cpu_millis=700, memory_bytes=1 << 30))
    fields.setdefault("boot", 1)
    return MetricsReport(
        node=node, sequence=sequence, sent_at=0.0, seconds=5.0, replicas=replicas, **fields
    )


def uses(replica: Replica, cpu: int, memory: int = 1 << 20, restarts: int = 0) -> MeasuredReplica:
    used = Measured(cpu_millis=cpu, memory_bytes=memory)
    return MeasuredReplica(uid=protocol.ReplicaUid(replica.uid), used=used, restarts=restarts)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_a_report_is_one_row(sent, django_assert_num_queries):
    replicas = assigned(3)

    with django_assert_num_queries(3):
        measurements.take(told(1, *(uses(one, 100) for one in replicas)), now=NOW)

    [row] = MetricBlock.objects.all()
    kept = samples.replicas_of(row.samples)
    assert (row.node, row.seconds, row.at) == ("n1", 0, NOW)
    assert kept[replicas[0].uid] == (
        replicas[0].deployment_id,
        [100, 1 << 20, None, None, 0, None, 64 << 20],
    )


@pytest.mark.parametrize(
    ("boot", "sequence", "later", "kept"),
    [
        pytest.param(1, 2, 5, True, id="newer"),
        pytest.param(2, 1, 5, True, id="after-a-restart"),
        pytest.param(1, 1, 5, False, id="the-same-again"),
        pytest.param(0, 9, 5, False, id="of-an-earlier-boot"),
        pytest.param(1, 2, 1, False, id="too-soon"),
    ],
)
def test_only_news_is_kept(db, boot, sequence, later, kept):
    measurements.take(told(1), now=NOW)

    report = told(sequence, boot=boot)
    assert measurements.take(report, now=NOW + timedelta(seconds=later)) is kept


def test_what_a_node_says_of_others_replicas_is_dropped(sent):
    [replica] = assigned(1)
    before = mail.refusals.counts["foreign"]
    Node.objects.create(name="n2", seen_at=NOW, joined_at=NOW)

    measurements.take(told(1, uses(replica, 100), node="n2"), now=NOW)

    assert samples.replicas_of(MetricBlock.objects.get().samples) == {}
    assert mail.refusals.counts["foreign"] == before + 1


def a_day(replica: Replica, *, seconds: int = 30) -> None:
    """Let a node measure for more than a day, thinning out as beat does."""
    begin = NOW - timedelta(hours=26)
    block = samples.block([500, 1], {replica.uid: (replica.deployment_id, [100, 1])})
    for minute in range(26 * 60):
        at = begin + timedelta(minutes=minute)
        MetricBlock.objects.bulk_create(
            MetricBlock(
                node="n1",
                seconds=0,
                at=at + timedelta(seconds=s),
                names=samples.names_of(block),
                samples=block,
            )
            for s in range(0, 60, seconds)
        )
        measurements.roll_up(now=at + timedelta(minutes=1))


def test_a_day_takes_a_bounded_number_of_rows_and_is_all_there(sent):
    [replica] = assigned(1)

    a_day(replica)

    rows = Counter(MetricBlock.objects.order_by().values_list("seconds", flat=True))
    assert (rows[0] <= 32, rows[60] <= 241, rows[600] <= 145) == (True, True, True)
    assert rows.total() <= samples.most_rows()
    points = metrics.of_node("n1", Span.latest(NOW, metrics.LONGEST, 600))
    assert len(points) >= 143
    assert {point.cpu_millis for point in points} == {500}


def test_a_deployment_is_the_sum_of_its_replicas_on_all_nodes(sent):
    first, second = assigned(2)
    Node.objects.create(name="n2", seen_at=NOW, joined_at=NOW)
    Replica.objects.filter(pk=second.pk).update(node="n2")
    for index, cpu in enumerate((100, 300)):
        at = ago(20 - 5 * index)
        measurements.take(told(index + 1, uses(first, cpu)), now=at)
        measurements.take(told(index + 1, uses(second, 50), node="n2"), now=at)

    [point] = metrics.of_deployment("default", "web", Span.latest(NOW, timedelta(minutes=5), 60))

    assert (point.cpu_millis, point.replicas, point.memory_limit_bytes) == (250, 2, 128 << 20)


def test_a_replica_and_its_restarts_are_read_back(sent):
    [replica] = assigned(1)
    for index in range(4):
        used = uses(replica, 10 * index, restarts=index)
        measurements.take(told(index + 1, used), now=ago(60 - 15 * index))

    points = metrics.of_replica(replica.uid, Span.latest(NOW, timedelta(minutes=2)))

    assert [point.cpu_millis for point in points] == [0, 10, 20, 30]
    assert points[-1].restarts == 3
    assert metrics.of_replica("nobody", Span.latest(NOW, timedelta(minutes=2))) is None


def test_a_period_that_has_just_begun_is_left_out(sent):
    [replica] = assigned(1)
    measurements.take(told(1, uses(replica, 100)), now=NOW + timedelta(seconds=3))

    span = Span.latest(NOW + timedelta(seconds=5), timedelta(minutes=2), 60)

    assert metrics.of_replica(replica.uid, span) == []


def test_blocks_outlive_the_replica(sent):
    [replica] = assigned(1)
    measurements.take(told(1, uses(replica, 100)), now=ago(30))
    Replica.objects.all().delete()

    [point] = metrics.of_deployment("default", "web", Span.latest(NOW, timedelta(minutes=2)))

    assert point.cpu_millis == 100


def test_metrics_come_from_the_node_that_signed_them(cluster):
    cluster.apply(TWO)
    cluster.node.sampler.sample(monotonic=0.0, now=0.0)
    report = cluster.node.sampler.sample(monotonic=5.0, now=timezone.now().timestamp())
    envelope = cluster.node.mailbox.sign_metrics(protocol.to_wire(report))

    assert cluster._send(protocol.METRICS_TASK, envelope)
    assert cluster._send(protocol.METRICS_TASK, {**envelope, "sig": "AAAA"})

    [row] = MetricBlock.objects.all()
    assert len(samples.replicas_of(row.samples)) == 2


TWO = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  template: {spec: {containers: [{name: main, image: "app:1"}]}}
"""
