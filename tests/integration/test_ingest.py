"""Reports and jobs: late, twice, out of order, for strangers; the broker away."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from orchestrator.manifests.manifest import parse
from orchestrator.models import Event, Job, JobState, Node, Replica
from orchestrator.operations import applying, dispatch, ingest, mail, reconcile, sweep
from tests.cluster import Cluster, change, manifest
from worker import protocol


def report(sequence: int, *statuses: protocol.ReplicaStatus, **more: object) -> ingest.Ingested:
    message = protocol.NodeReport(
        node="n1", boot=1, sequence=sequence, sent_at=0.0, replicas=statuses, **more
    )
    return ingest.ingest(message, now=timezone.now())


def status(uid: str, phase: protocol.NodePhase, **more: object) -> protocol.ReplicaStatus:
    return protocol.ReplicaStatus(uid=uid, epoch=1, phase=phase, **more)


def assigned(replicas: int = 1) -> list[Replica]:
    report(1, full=True, facts=protocol.NodeFacts(runtimes=("in-memory",)))
    applying.apply(parse(manifest(replicas=replicas)), change())
    for pk in sweep.owed(now=timezone.now()):
        reconcile.run(pk, now=timezone.now())
    return list(Replica.objects.order_by("slot"))


def test_an_older_report_changes_nothing(sent):
    replica = assigned()[0]
    running = status(replica.uid, protocol.NodePhase.RUNNING, ready=True, reason="Running")
    report(5, running)

    report(4, status(replica.uid, protocol.NodePhase.STARTING, reason="Starting"))

    replica.refresh_from_db()
    assert (replica.phase, replica.ready, replica.reason) == ("running", True, "Running")


def test_a_phase_never_moves_back(sent):
    replica = assigned()[0]
    report(5, status(replica.uid, protocol.NodePhase.STOPPED))

    report(6, status(replica.uid, protocol.NodePhase.RUNNING, ready=True))

    replica.refresh_from_db()
    assert (replica.phase, replica.ready) == ("stopped", False)


def test_the_same_report_twice_leaves_one_event(sent):
    replica = assigned()[0]
    running = status(replica.uid, protocol.NodePhase.RUNNING, ready=True, reason="Running")

    report(5, running)
    report(5, running)

    assert Event.objects.filter(replica=replica.uid, reason="Running").count() == 1


def test_a_report_about_another_nodes_replica_is_ignored(sent):
    replica = assigned()[0]
    message = protocol.NodeReport(
        node="n2",
        boot=1,
        sequence=9,
        sent_at=0.0,
        replicas=(status(replica.uid, protocol.NodePhase.STOPPED),),
    )

    ingest.ingest(message, now=timezone.now())

    replica.refresh_from_db()
    assert replica.phase == "assigned"


def test_an_earlier_boot_is_not_believed(sent):
    replica = assigned()[0]
    message = protocol.NodeReport(
        node="n1",
        boot=0,
        sequence=99,
        sent_at=0.0,
        replicas=(status(replica.uid, protocol.NodePhase.STOPPED),),
    )

    assert ingest.ingest(message, now=timezone.now()).stale
    replica.refresh_from_db()
    assert replica.phase == "assigned"


def test_a_leftover_is_stopped(sent):
    replica = assigned()[0]
    report(5, status(replica.uid, protocol.NodePhase.STOPPED))

    report(6, status(replica.uid, protocol.NodePhase.RUNNING), full=True)

    assert Job.objects.filter(replica=replica, operation="stop", reason="Leftover").count() == 1


def test_a_stranger_is_shown_and_left_alone(sent):
    assigned()

    report(6, status("ffffffffffff", protocol.NodePhase.RUNNING), full=True)

    assert Node.objects.get().strangers == ["ffffffffffff"]
    assert Event.objects.filter(reason="UnknownReplica").count() == 1
    assert not Job.objects.filter(operation="stop").exists()


def test_a_job_is_sent_again_until_it_is_confirmed(sent, django_capture_on_commit_callbacks):
    replica = assigned()[0]
    job = Job.objects.get()
    for seconds in (10, 60):
        dispatch.resend_unconfirmed(now=timezone.now() + timedelta(seconds=seconds))
    assert Job.objects.get().attempts == 2

    accepted = protocol.JobResult(uid=job.uid, outcome=protocol.JobOutcome.ACCEPTED)
    report(5, status(replica.uid, protocol.NodePhase.ACCEPTED, jobs=(accepted,)))
    dispatch.resend_unconfirmed(now=timezone.now() + timedelta(hours=1))

    assert (Job.objects.get().attempts, Job.objects.get().state) == (2, JobState.ACCEPTED)


def test_a_job_the_broker_did_not_take_stays_queued(broker_down):
    assigned()

    assert dispatch.resend_unconfirmed(now=timezone.now() + timedelta(seconds=5)) == 0
    assert Job.objects.get().state == JobState.QUEUED


def test_a_new_node_takes_what_waits(cluster: Cluster):
    Node.objects.all().delete()
    cluster.apply(manifest(replicas=2))
    assert cluster.containers() == []

    cluster.join()

    assert len(cluster.containers()) == 2


def test_a_report_played_again_does_not_make_a_node_look_alive(sent):
    assigned()
    report(5, full=True)
    long_ago = timezone.now() - timedelta(minutes=5)
    Node.objects.update(seen_at=long_ago, state="suspect")

    assert report(5, full=True).stale
    report(4)

    node = Node.objects.get()
    assert (node.seen_at, node.state) == (long_ago, "suspect")


def test_a_node_confirms_only_jobs_of_its_own(sent):
    replica = assigned()[0]
    job = Job.objects.get()
    done = protocol.JobResult(uid=job.uid, outcome=protocol.JobOutcome.DONE)
    line = status("stranger", protocol.NodePhase.RUNNING, jobs=(done,))
    message = protocol.NodeReport(node="n2", boot=1, sequence=1, sent_at=0.0, replicas=(line,))

    ingest.ingest(message, now=timezone.now())

    job.refresh_from_db()
    assert (job.state, replica.node_id) == (JobState.QUEUED, "n1")


def test_lines_about_other_nodes_replicas_are_dropped_and_the_rest_counts(sent):
    replica = assigned()[0]
    lines = (
        status(replica.uid, protocol.NodePhase.STOPPED),
        status("unknown", protocol.NodePhase.RUNNING),
    )
    message = protocol.NodeReport(
        node="n2", boot=1, sequence=1, sent_at=0.0, replicas=lines, full=True
    )
    before = mail.refusals.counts["foreign"]

    ingest.ingest(message, now=timezone.now())

    replica.refresh_from_db()
    assert replica.phase == "assigned"
    assert Node.objects.get(name="n2").strangers == ["unknown"]
    assert mail.refusals.counts["foreign"] == before + 1


def test_what_runs_on_a_node_that_has_lost_its_list_is_told_again(sent):
    replica = assigned()[0]
    job = Job.objects.get(replica=replica)
    done = protocol.JobResult(uid=protocol.JobUid(job.uid), outcome=protocol.JobOutcome.DONE)
    report(2, status(replica.uid, protocol.NodePhase.RUNNING, ready=True, jobs=(done,)))
    before = Job.objects.get(pk=job.pk).state

    stray = status(replica.uid, protocol.NodePhase.RUNNING, reason=protocol.UNASSIGNED)
    report(3, stray, full=True)

    assert (before, Job.objects.get(pk=job.pk).state) == (JobState.DONE, JobState.QUEUED)
    assert Event.objects.filter(reason="AssignedAgain", replica=replica.uid).count() == 1
