"""Listening to nodes: silence, loss, doubt in ourselves, return; and writing a node off."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest
import redis
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.core.lifecycle import NodeState
from orchestrator.models import Event, Node, NodeIdentity, Replica
from orchestrator.operations import liveness, mail, nodes, refused_nodes
from orchestrator.operations.accounts import Role
from orchestrator.operations.liveness import Watch
from tests.cluster import Cluster, change, enrolled, manifest
from tests.integration.api.requests import post
from tests.integration.conftest import client_of
from worker.assignments import AssignmentStore
from worker.identity import Keys
from worker.mailbox import Mailbox

ONE = timedelta(seconds=1)


class Ears:
    """A watch whose clock and answers are the test's; n1 is real, the others only rows.

    Nodes in `answering` answer, those in `reporting` report.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.now = timezone.now()
        self.away = False
        self.answering = self.reporting = {"n1", "n2", "n3"}
        self.kept: dict[str, str] = {}
        self.restored = 0
        self.watch = Watch(self._answers, self._restore)
        identities = {"n1": cluster.identity, "n2": enrolled("n2"), "n3": enrolled("n3")}
        store = AssignmentStore(cluster.node.config.state_dir / "ears.sqlite3")
        self.nodes = {
            name: Mailbox(identity, store, self._clock) for name, identity in identities.items()
        }

    def _answers(self, names: Sequence[str]) -> Mapping[str, str]:
        if self.away:
            raise redis.ConnectionError
        for name in self.answering:
            self.kept[name] = json.dumps(self.nodes[name].sign_answer(str(self.now)))
        return dict(self.kept)

    def _clock(self) -> float:
        return self.now.timestamp()

    def _restore(self) -> None:
        self.restored += 1

    def after(self, seconds: float) -> None:
        """Let time pass, a second at a look; nodes answer and report meanwhile."""
        for _ in range(round(seconds)):
            self.now += timedelta(seconds=1)
            Node.objects.filter(name__in=self.reporting).update(seen_at=self.now)
            self.watch.look(now=self.now)

    def only(self, *names: str) -> None:
        """Have all others fall silent altogether."""
        self.answering = self.reporting = set(names)


@pytest.fixture
def ears(cluster: Cluster) -> Ears:
    made = Ears(cluster)
    for name in ("n2", "n3"):
        Node.objects.create(name=name, runtimes=["in-memory"], joined_at=made.now, seen_at=made.now)
    made.after(2)
    return made


def states() -> dict[str, str]:
    return dict(Node.objects.values_list("name", "state"))


def reasons() -> list[str]:
    found = Event.objects.filter(reason__startswith="Node").order_by("pk")
    return [reason for reason in found.values_list("reason", flat=True) if reason != "NodeJoined"]


def test_a_silent_node_is_suspect_then_lost_and_its_replicas_are_replaced(
    cluster: Cluster, ears: Ears
):
    cluster.apply(manifest(replicas=3))
    assert set(Replica.objects.values_list("node", flat=True)) == {"n1", "n2", "n3"}
    ears.only("n1", "n2")

    ears.after(4)
    assert (states()["n3"], Replica.objects.count()) == (NodeState.SUSPECT, 3)
    ears.after(5)

    assert states() == {"n1": "ready", "n2": "ready", "n3": "lost"}
    assert reasons() == ["NodeSuspect", "NodeLost"]
    assert Replica.objects.exclude(node="n3").count() == 3
    assert not Replica.objects.get(node="n3").ready


def test_a_silent_node_tells_since_when_and_when_it_is_given_up(ears: Ears):
    ears.after(1)
    heard_at = ears.now
    ears.only("n1", "n2")

    ears.after(4)
    suspect = Node.objects.get(name="n3")
    ears.after(5)
    lost = Node.objects.get(name="n3")
    ears.only("n1", "n2", "n3")
    ears.after(1)
    back = Node.objects.get(name="n3")

    assert suspect.silent_since == heard_at
    assert suspect.lost_due_at == heard_at + timedelta(seconds=8)
    assert (lost.silent_since, lost.lost_due_at, lost.lost_at) == (heard_at, None, ears.now - ONE)
    assert (back.silent_since, back.lost_due_at, back.lost_at) == (None, None, None)


def test_a_node_that_is_heard_again_counts_again(cluster: Cluster, ears: Ears):
    cluster.apply(manifest(replicas=3))
    ears.only("n1", "n2")
    ears.after(10)

    ears.only("n1", "n2", "n3")
    ears.after(1)

    assert states()["n3"] == NodeState.READY
    assert reasons()[-1] == "NodeReady"
    live = Replica.objects.exclude(phase__in=("stopping", "stopped", "lost"))
    assert live.count() == 3


def test_a_node_that_reports_but_does_not_answer_is_lost_and_stays_so(ears: Ears):
    ears.answering = {"n1", "n2"}

    ears.after(40)

    assert states()["n3"] == NodeState.LOST
    assert reasons() == ["NodeSuspect", "NodeLost"]


def test_a_lost_node_counts_again_when_it_has_told_what_runs_there(ears: Ears):
    ears.only("n1", "n2")
    ears.after(10)

    ears.answering = {"n1", "n2", "n3"}
    ears.after(5)
    assert states()["n3"] == NodeState.LOST
    ears.only("n1", "n2", "n3")
    ears.after(1)

    assert states()["n3"] == NodeState.READY


def test_a_broker_that_lost_its_memory_gets_back_what_it_forgot_and_accuses_nobody(ears: Ears):
    assert ears.restored == 1

    ears.kept.clear()
    ears.answering = set()
    ears.after(6)

    assert ears.restored == 2
    assert reasons() == ["NodeSuspect"] * 3
    ears.only("n1", "n2", "n3")
    ears.after(2)
    assert set(states().values()) == {NodeState.READY}


def test_when_most_nodes_fall_silent_nothing_is_replaced(cluster: Cluster, ears: Ears):
    cluster.apply(manifest(replicas=3))
    ears.only("n1")

    ears.after(30)

    assert states() == {"n1": "ready", "n2": "suspect", "n3": "suspect"}
    assert Replica.objects.count() == 3
    doubts = Event.objects.filter(reason="NodeLossDoubted")
    assert doubts.count() == 2
    assert "n2 and n3 fell silent" in doubts.latest("pk").message


def test_whoever_comes_back_late_from_a_failure_of_most_is_not_given_up_for_that(ears: Ears):
    ears.only("n1")
    ears.after(30)

    ears.only("n1", "n2")
    ears.after(14)
    assert states() == {"n1": "ready", "n2": "ready", "n3": "suspect"}
    ears.after(2)

    assert states()["n3"] == NodeState.LOST


def test_a_broker_that_is_away_makes_no_node_lost(ears: Ears):
    ears.away = True
    ears.only("n1", "n2")

    ears.after(30)

    assert set(states().values()) == {NodeState.READY}


def test_a_control_plane_that_was_away_begins_anew(ears: Ears):
    ears.only("n1", "n2")
    ears.now += timedelta(hours=1)

    ears.after(2)
    assert set(states().values()) == {NodeState.READY}
    ears.after(12)
    assert states()["n3"] == NodeState.SUSPECT
    ears.after(2)
    assert states()["n3"] == NodeState.LOST


def test_the_first_nodes_are_watched_as_closely_as_any_from_their_first_moment(cluster: Cluster):
    ears = Ears(cluster)
    row = Node.objects.get()
    Node.objects.all().delete()
    ears.after(2)
    for name in ("n1", "n2", "n3"):
        row.pk, row.name, row.joined_at, row.seen_at = None, name, ears.now, ears.now
        row.save()
    # They answer before the first look at them, and then n2 never again.
    ears._answers([])
    ears.only("n1", "n3")
    ears.after(10)
    assert states() == {"n1": "ready", "n2": "lost", "n3": "ready"}


def test_a_second_node_is_watched_as_closely_as_any_from_its_first_moment(cluster: Cluster):
    ears = Ears(cluster)
    ears.only("n1")
    ears.after(2)
    # Alone, n1 is asked every five seconds.
    ears.now += timedelta(seconds=5)
    joined_at = ears.now - 4 * ONE
    for name in ("n2", "n3"):
        Node.objects.create(
            name=name, runtimes=["in-memory"], joined_at=joined_at, seen_at=joined_at
        )
    ears.answering = ears.reporting = {"n1", "n3"}
    ears.after(8)
    assert states() == {"n1": "ready", "n2": "suspect", "n3": "ready"}
    ears.after(2)
    assert states() == {"n1": "ready", "n2": "lost", "n3": "ready"}


def test_a_countdown_begins_anew_when_the_control_plane_was_away(ears: Ears):
    ears.answering = {"n1", "n2"}
    ears.after(5)

    ears.now += timedelta(hours=1)
    ears.after(1)

    waiting = Node.objects.get(name="n3")
    assert waiting.state == NodeState.SUSPECT
    assert waiting.lost_due_at == ears.now + timedelta(seconds=8 + 6)


def test_all_answers_are_checked_in_as_many_queries(cluster: Cluster, django_assert_num_queries):
    answers = {f"n{number}": "{}" for number in range(50)}

    with django_assert_num_queries(1):
        assert mail.own_answers(answers, now=0.0) == set()


def test_an_answer_is_the_nodes_own_or_none(cluster: Cluster, broker_url: str):
    with redis.Redis.from_url(broker_url) as client:
        pulse = cluster.node.pulse
        pulse._connection = client
        assert pulse.answer("1")
        (key,) = client.keys("heard:*")
        text = client.get(key).decode()
    now = datetime.now().astimezone().timestamp()

    check, seal = Keys.make().public
    NodeIdentity.objects.create(name="n2", check_key=check, seal_key=seal, issued_at=timezone.now())

    def is_own(node: str, answer: str, now: float) -> bool:
        return mail.own_answers({node: answer}, now=now) == {node}

    assert is_own("n1", text, now)
    assert not is_own("n2", text, now)
    assert not is_own("nobody", text, now)
    assert not is_own("n1", text.replace("n1", "n2"), now)
    assert not is_own("n1", "[" * 9000, now)
    assert not is_own("n1", text, now + 3600)
    assert mail.own_answers({"n1": text, "n2": text}, now=now) == {"n1"}


def test_a_fenced_replica_waits_until_its_node_is_written_off(cluster: Cluster, ears: Ears):
    text = manifest(replicas=3).replace("on-failure: rollback", "fence: strict")
    cluster.apply(text)
    ears.only("n1", "n2")
    ears.after(20)
    assert Replica.objects.count() == 3

    answer = post(client_of(Role.ADMIN), "/api/v1/nodes/n3/forget/")

    assert answer.status_code == 204
    assert not Node.objects.filter(name="n3").exists()
    assert not NodeIdentity.objects.filter(name="n3").exists()
    assert Replica.objects.filter(phase="lost", node=None).count() == 1
    assert Replica.objects.exclude(node=None).count() == 3
    assert Event.objects.filter(reason="NodeForgotten", verb="forget").exists()


def test_a_node_that_is_heard_is_not_written_off(cluster: Cluster):
    admin: APIClient = client_of(Role.ADMIN)

    answer = post(admin, "/api/v1/nodes/n1/forget/")

    assert (answer.status_code, "drain it" in answer.json()["detail"]) == (409, True)
    assert post(admin, "/api/v1/nodes/none/forget/").status_code == 404
    with pytest.raises(nodes.NodeAlive):
        nodes.forget("n1", change())


def test_a_clock_that_is_set_back_neither_silences_nor_blinds_the_watch(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
):
    asked: list[set[str]] = []
    monkeypatch.setattr(liveness, "publish_to_nodes", lambda _task, words: asked.append(set(words)))
    ears.after(3)
    asked.clear()

    ears.now -= timedelta(hours=1)
    ears.after(5)
    ready = states()
    ears.only("n1", "n2")
    ears.after(9)

    assert set(ready.values()) == {"ready"}
    assert asked[:2] == [{"n1", "n2", "n3"}] * 2
    assert states() == {"n1": "ready", "n2": "ready", "n3": "lost"}


def test_a_node_that_is_refused_is_not_said_to_be_silent_without_the_reason(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(refused_nodes, "_latest", {})
    ears.nodes["n3"]._clock = lambda: ears.now.timestamp() + 3600

    ears.after(9)

    (message,) = Event.objects.filter(reason="NodeLost").values_list("message", flat=True)
    assert "(what it says is refused: the clock of node n3 is 3600 s ahead of that of" in message
    assert states()["n3"] == "lost"
