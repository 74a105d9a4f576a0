"""Listen to the nodes: ask each through its own queue, hear the answers, act on the silence.

Only a worker that really consumes its queue can answer, which no heartbeat or report can tell. The
answer is a signed word under the node's own key at the broker, so that asking often costs little:
no message to us, no report. What to believe is decided in `core/liveness.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

from orchestrator.core import liveness
from orchestrator.core.lifecycle import LIVE_PHASES, NodeState
from orchestrator.core.liveness import Hearing, Judgement, Timing
from orchestrator.core.wording import be, count, join
from orchestrator.models import Node, Replica
from orchestrator.operations import (
    announce,
    broker_users,
    events,
    gateways,
    mail,
    nodes,
    refused_nodes,
)
from orchestrator.operations.transport import publish_to_nodes
from worker import protocol

logger = logging.getLogger(__name__)

NOTED_EVERY = timedelta(seconds=5)
# A node that has been away for long is asked rarely, so that its queue stays short.
LONG_AWAY = timedelta(minutes=2)
RARELY = timedelta(minutes=1)
Answers = Callable[[Sequence[str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Since when a node has not been heard, and when it is given up unless it answers."""

    begun_at: datetime
    ends_at: datetime


def timing() -> Timing:
    """Return the times the settings ask for.

    Raises:
        ValueError: they are in the wrong order.
    """
    ping, suspect, lost = settings.LIVENESS_SECONDS
    return Timing(
        ping=timedelta(seconds=ping),
        suspect=timedelta(seconds=suspect),
        lost=timedelta(seconds=lost),
    )


def answers_at_broker(names: Sequence[str]) -> Mapping[str, str]:
    """Return what each node answered last.

    Raises:
        RedisError: the broker does not answer.
    """
    if not names:
        return {}
    keys = [protocol.heard_key(name) for name in names]
    found: list[Any] = list(broker_users.client().mget(keys))
    return {name: value.decode() for name, value in zip(names, found, strict=True) if value}


class Watch:
    """What one process has heard; several may listen at once and only do the same twice.

    `restore` puts back what a broker that was away has forgotten.
    """

    def __init__(
        self,
        answers: Answers = answers_at_broker,
        restore: Callable[[], object] = broker_users.restore,
    ) -> None:
        self._answers = answers
        self._restore = restore
        self._is_known = False
        self._is_doubting = False
        self._tokens: dict[str, str] = {}
        self._heard: dict[str, datetime] = {}
        self._asked: dict[str, datetime] = {}
        self._met: dict[str, datetime] = {}
        self._times = timing()
        self._looked_at: datetime | None = None
        self._since: datetime | None = None

    def look(self, *, now: datetime) -> timedelta:
        """Hear, judge, ask again; return after how long to look next."""
        rows = list(Node.objects.order_by("name"))
        times = timing().stretched(len(rows))
        if self._looked_at is not None and now < self._looked_at:
            self._go_back(self._looked_at - now, now)
        # A second node makes us look more often; until now we waited as long as for one.
        patience = max(times.suspect, self._times.suspect)
        if self._looked_at is None or abs(now - self._looked_at) > patience:
            # We were away, have just begun, or our clock was set: the silence of that time is ours.
            self._since = now
        self._looked_at, self._times = now, times
        if not self._hear(rows, now):
            self._since = now
        known = [self._hearing(row, now) for row in rows]
        judgement = self._judge(known, times, now)
        silences = {
            row.name: self._silence(row, hearing, times, now)
            for row, hearing in zip(rows, known, strict=True)
        }
        _act(rows, judgement, silences, now)
        self._ask([hearing for hearing in known if self._is_due(hearing, times, now)], now)
        return times.ping

    def _go_back(self, by: timedelta, now: datetime) -> None:
        """The clock was set back: what was heard or asked later than now was so just now.

        Else nobody would be asked until the clock is there again, and nobody missed.
        """
        if by > timedelta(seconds=1):
            seconds = round(by.total_seconds())
            logger.warning("The clock of this machine was set back by %d s", seconds)
        self._heard = {name: min(at, now) for name, at in self._heard.items()}
        self._met = {name: min(at, now) for name, at in self._met.items()}
        self._asked = {}
        self._since = min(self._since or now, now)

    def _hear(self, rows: Sequence[Node], now: datetime) -> bool:
        """Take the answers; return whether the nodes had a broker at which to leave them."""
        try:
            answers = self._answers([row.name for row in rows])
            if self._tokens and self._tokens.keys().isdisjoint(answers):
                # Each was kept there for a minute: this is another broker, or it was emptied.
                self._is_known = False
            if not self._is_known:
                self._restore()
        except (RedisError, OSError) as error:
            logger.warning("The nodes' answers could not be read: %s", error)
            self._is_known = False
            return False
        if not self._is_known:
            self._is_known, self._tokens = True, dict(answers)
            return False
        fresh = {name: new for name, new in answers.items() if new != self._tokens.get(name)}
        self._tokens.update(fresh)
        if fresh:
            heard = mail.own_answers(fresh, now=now.timestamp())
            self._heard.update(dict.fromkeys(heard, now))
            refused_nodes.believe(heard)
            _note([row for row in rows if row.name in heard], now)
        return True

    def _hearing(self, row: Node, now: datetime) -> Hearing:
        # Whom nobody has asked yet is not silent.
        met_at = self._met.setdefault(row.name, now)
        return Hearing(
            name=row.name,
            state=NodeState(row.state),
            heard_at=self._heard.get(row.name, max(row.joined_at, met_at)),
            told_at=row.seen_at,
        )

    def _judge(self, known: Sequence[Hearing], times: Timing, now: datetime) -> Judgement:
        since = self._since or now
        found = liveness.judge(known, now=now, listening_since=since, timing=times)
        if self._is_doubting and not found.doubted:
            # Not all come back at the same moment: whoever is late gets the whole time once more.
            self._since = now
            found = liveness.judge(known, now=now, listening_since=now, timing=times)
        self._is_doubting = bool(found.doubted)
        return found

    def _silence(self, row: Node, hearing: Hearing, times: Timing, now: datetime) -> Silence:
        ends_at = liveness.given_up_at(
            hearing.heard_at, listening_since=self._since or now, timing=times
        )
        return Silence(begun_at=self._heard.get(row.name, row.seen_at), ends_at=ends_at)

    def _is_due(self, hearing: Hearing, times: Timing, now: datetime) -> bool:
        wait = RARELY if now - hearing.heard_at > LONG_AWAY else times.ping
        asked_at = self._asked.get(hearing.name)
        # A timer that is a little early must not skip a round.
        return asked_at is None or now - asked_at >= wait * 0.8

    def _ask(self, due: Sequence[Hearing], now: datetime) -> None:
        token = f"{now.timestamp():.3f}"
        words: dict[str, dict[str, object]] = {
            hearing.name: {"token": token, "full": hearing.state is not NodeState.READY}
            for hearing in due
        }
        for name, told in words.items():
            if why := refused_nodes.why_unheard(name, now):
                told["refused"] = why
        self._asked.update(dict.fromkeys(words, now))
        if words:
            publish_to_nodes(protocol.PING_TASK, words)


def _note(heard: Sequence[Node], now: datetime) -> None:
    """Write down when nodes were heard, not every time; of a lost one, only its reports count."""
    due = [
        row.pk for row in heard if row.state != NodeState.LOST and now - row.seen_at > NOTED_EVERY
    ]
    if due:
        Node.objects.filter(pk__in=due).update(seen_at=now)


def _act(
    rows: Sequence[Node],
    judgement: Judgement,
    silences: Mapping[str, Silence],
    now: datetime,
) -> None:
    """Write down what is believed, where that is new."""
    for row in rows:
        state, doubted = judgement.states[row.name], row.name in judgement.doubted
        if state != row.state or doubted != row.doubted:
            with transaction.atomic():
                node = Node.objects.select_for_update(no_key=True).filter(pk=row.pk).first()
                # Judged by somebody else in the meantime: the next look will see that.
                if node is not None and node.state == row.state:
                    _set(node, state, judgement, silences[node.name], now)
        elif row.lost_due_at is not None and silences[row.name].ends_at > row.lost_due_at:
            # We were away ourselves, and wait as long again.
            Node.objects.filter(pk=row.pk).update(lost_due_at=silences[row.name].ends_at)
            announce.changed(announce.node_topic(row.name))


def _set(
    node: Node, state: NodeState, judgement: Judgement, silence: Silence, now: datetime
) -> None:
    silent_seconds = max(0, round((now - silence.begun_at).total_seconds()))
    silent = f"node {node.name} has not been heard of for {silent_seconds} s"
    if state is not NodeState.READY and (why := refused_nodes.why_unheard(node.name, now)):
        silent += f" (what it says is refused: {why})"
    if state is NodeState.READY:
        nodes.welcome(node, now=now)
    elif state is NodeState.LOST and node.state != NodeState.LOST:
        _give_up(node, silent, now)
    elif node.state != state:
        _tell(node, "NodeSuspect", f"{silent}; it gets no new replicas until it is", now)
        node.silent_since, node.lost_due_at = silence.begun_at, silence.ends_at
    if node.name in judgement.doubted and not node.doubted:
        everybody = join(sorted(judgement.doubted))
        number = len(judgement.doubted)
        _tell(
            node,
            "NodeLossDoubted",
            f"{everybody} fell silent, which {be(number)} most of the nodes: nothing is replaced "
            "until it is clear who failed",
            now,
        )
    node.state, node.doubted = state, node.name in judgement.doubted
    node.save(update_fields=["state", "doubted", "lost_at", "silent_since", "lost_due_at"])
    announce.changed(announce.node_topic(node.name))


def _give_up(node: Node, silent: str, now: datetime) -> None:
    """The node is lost: nothing on it counts as ready, and others take over."""
    node.lost_at, node.lost_due_at = now, None
    there = Replica.objects.filter(node=node, phase__in=LIVE_PHASES)
    number = there.update(ready=False, ready_at=None)
    nodes.owe_passes(node)
    gateways.nudge_released()
    message = f"{silent} and is lost; "
    replaced = f"its {count(number, 'replica')} {be(number)} replaced elsewhere"
    _tell(node, "NodeLost", message + (replaced if number else "it carried no replicas"), now)


def _tell(node: Node, reason: str, message: str, now: datetime) -> None:
    event = events.about_node(
        node.name, reason=reason, message=message, now=now, severity="warning"
    )
    event.save()
