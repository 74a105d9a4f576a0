"""The whole loop in one process: desired state → plan → job → node → report → observed state."""

from __future__ import annotations

import pytest
from django.utils import timezone

from orchestrator.models import Deployment, Event, Job, Replica
from orchestrator.operations import deployments, replicas
from tests.cluster import Cluster, change, manifest
from worker.runtimes.base import FailureReason, RuntimeFailure


def test_a_deployment_gets_its_replicas(cluster: Cluster):
    cluster.apply(manifest(replicas=3))

    assert len(cluster.containers()) == 3
    assert cluster.pass_at(0).actions == 0
    row = cluster.deployment()
    assert (row.phase, row.available_replicas, row.settled) == ("Available", 3, True)
    assert row.observed_generation == row.generation


def test_applying_twice_changes_nothing(cluster: Cluster):
    cluster.apply(manifest())
    before = cluster.containers()

    saved = cluster.apply(manifest())

    assert [item.action for item in saved] == ["unchanged"]
    assert cluster.containers() == before
    assert cluster.deployment().generation == 1


def test_a_crashed_container_is_restarted_in_place(cluster: Cluster):
    cluster.apply(manifest(replicas=1))
    replica = cluster.live()[0]
    cluster.runtime.print_line(cluster.container_of(replica), "last words")

    cluster.runtime.die(cluster.container_of(replica), 3)
    cluster.settle()

    again = cluster.live()[0]
    assert (again.uid, again.restarts, again.exit_code) == (replica.uid, 1, 3)
    assert again.log_tail == "last words"
    assert again.ready


def test_a_removed_container_comes_back(cluster: Cluster):
    cluster.apply(manifest(replicas=1))
    replica = cluster.live()[0]

    cluster.runtime.remove(cluster.container_of(replica))
    cluster.settle()

    assert cluster.containers() == [cluster.container_of(replica)]
    assert cluster.live()[0].uid == replica.uid


@pytest.mark.parametrize(("before", "after"), [(3, 5), (5, 2), (2, 0), (0, 2)])
def test_scaling_starts_or_stops_what_it_takes(cluster: Cluster, before: int, after: int):
    cluster.apply(manifest(replicas=before))

    deployments.scale("default", "web", after, change())

    assert len(cluster.containers()) == after
    assert cluster.deployment().available_replicas == after


@pytest.mark.parametrize("strategy", ["RollingUpdate", "Recreate"])
def test_a_new_template_replaces_every_replica(cluster: Cluster, strategy: str):
    cluster.apply(manifest(strategy=strategy))
    old = set(cluster.containers())

    cluster.apply(manifest(strategy=strategy, version="2"))

    assert len(cluster.containers()) == 3
    assert old.isdisjoint(cluster.containers())
    assert {replica.revision.number for replica in cluster.live()} == {2}
    assert cluster.deployment().revisions.get(number=2).completed_at is not None


def test_rolling_back_is_a_new_revision(cluster: Cluster):
    cluster.apply(manifest(version="1"))
    cluster.apply(manifest(version="2"))

    deployments.rollback("default", "web", change())

    row = cluster.deployment()
    assert row.revision == 3
    assert row.revisions.get(number=3).is_rollback
    assert row.manifest["spec"]["template"]["spec"]["containers"][0]["args"] == ["1"]
    assert {replica.revision.number for replica in cluster.live()} == {3}


def test_limits_change_in_place_without_a_restart(cluster: Cluster):
    cluster.apply(manifest(memory="64Mi"))
    before = cluster.containers()
    created = cluster.runtime.created

    cluster.apply(manifest(memory="128Mi"))

    assert cluster.containers() == before
    assert cluster.runtime.created == created
    limits = {cluster.runtime.resources_of(name).memory_limit_bytes for name in before}
    assert limits == {128 << 20}
    assert set(Job.objects.filter(operation="update").values_list("state", flat=True)) == {"done"}


def test_a_failed_rollout_is_rolled_back_by_itself(cluster: Cluster):
    cluster.apply(manifest(deadline=30))
    cluster.runtime.faults.unknown_images.add("app:broken")
    cluster.apply(manifest(deadline=30, image="app:broken"))
    assert cluster.deployment().available_replicas == 3

    cluster.pass_at(60)
    cluster.settle()

    row = cluster.deployment()
    assert (row.revision, row.phase, row.available_replicas) == (3, "Available", 3)
    assert row.revisions.get(number=2).failed_at is not None
    assert Event.objects.filter(reason="ProgressDeadlineExceeded").exists()


@pytest.mark.parametrize("on_failure", ["pause", "none"])
def test_a_failed_rollout_stays_when_asked_to(cluster: Cluster, on_failure: str):
    cluster.apply(manifest(deadline=30, on_failure=on_failure))
    cluster.runtime.faults.unknown_images.add("app:broken")
    cluster.apply(manifest(deadline=30, image="app:broken", on_failure=on_failure))

    cluster.pass_at(60)
    cluster.settle()

    row = cluster.deployment()
    assert (row.revision, row.phase) == (2, "Failed")
    assert row.available_replicas >= 3


def test_a_paused_deployment_does_not_roll_but_scales(cluster: Cluster):
    cluster.apply(manifest(replicas=2))
    deployments.pause("default", "web", change())
    cluster.apply(manifest(replicas=2, version="2") + "  paused: true\n")

    deployments.scale("default", "web", 4, change())

    assert {replica.revision.number for replica in cluster.live()} == {1}
    assert len(cluster.containers()) == 4
    deployments.resume("default", "web", change())
    assert {replica.revision.number for replica in cluster.live()} == {2}


def test_restart_makes_every_container_new(cluster: Cluster):
    cluster.apply(manifest())
    old = set(cluster.containers())

    deployments.restart("default", "web", change())

    assert old.isdisjoint(cluster.containers())
    assert len(cluster.containers()) == 3


def test_deleting_stops_everything_and_forgets_it(cluster: Cluster):
    cluster.apply(manifest())

    deployments.delete("default", "web", change())

    assert cluster.containers() == []
    assert not Deployment.objects.exists()
    assert Event.objects.filter(reason="DeletionFinished").exists()


def test_an_image_that_does_not_exist_is_told(cluster: Cluster):
    cluster.runtime.faults.unknown_images.add("app:none")
    began = timezone.now()

    cluster.apply(manifest(replicas=1, image="app:none"))

    replica = cluster.live()[0]
    assert (replica.ready, replica.reason) == (False, "ImageNotFound")
    assert "app:none" in replica.message
    assert replica.next_try_at > began


def test_retry_now_forgets_the_back_off(cluster: Cluster):
    failure = RuntimeFailure(FailureReason.NETWORK, "the registry cannot be reached")
    cluster.runtime.faults.pulls += [failure]
    cluster.apply(manifest(replicas=1))
    assert cluster.containers() == []

    replicas.retry(cluster.live()[0].uid, change())

    assert len(cluster.containers()) == 1
    assert cluster.live()[0].ready


def test_a_replaced_replica_gets_a_successor(cluster: Cluster):
    cluster.apply(manifest(replicas=2))
    first = cluster.live()[0]

    replicas.replace(first.uid, change())

    assert first.uid not in {replica.uid for replica in cluster.live()}
    assert len(cluster.containers()) == 2


def test_every_event_of_a_start_leads_back_to_the_person(cluster: Cluster):
    cluster.apply(manifest(replicas=1))

    event = Event.objects.filter(reason="Running").latest("pk")
    actors = []
    while event is not None:
        actors.append(event.actor)
        event = event.cause

    assert actors[-1] == "tester"


def test_every_job_ends(cluster: Cluster):
    cluster.apply(manifest())
    cluster.apply(manifest(version="2"))
    deployments.delete("default", "web", change())

    assert set(Job.objects.values_list("state", flat=True)) <= {"done", "superseded"}


def test_a_node_that_lost_its_disk_is_told_again(cluster: Cluster, tmp_path):
    cluster.apply(manifest(replicas=2))
    uids = {replica.uid for replica in cluster.live()}

    reborn = Cluster(tmp_path / "new-disk")
    reborn.runtime = cluster.runtime
    reborn.node.agent.runtimes = {"in-memory": cluster.runtime}
    from worker import app as node_app

    node_app.install(reborn.node)
    reborn.join()

    assert {replica.uid for replica in cluster.live()} == uids
    assert len(cluster.containers()) == 2
    assert Replica.objects.count() == 2
