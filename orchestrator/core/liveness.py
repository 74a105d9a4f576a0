"""Decide which nodes are suspect or lost, from when each last answered; doubt ourselves first.

Only answers to our questions count as hearing: a node that reports but does not hear us can be
given nothing to do. One that was lost is back when it answers and has told what runs there.

Silence counts from when a node last answered or, if that is later, from when we began to listen:
a control plane that was away itself accuses nobody. When most nodes that were there fall silent at
once, the fault is likelier ours or the network's (`doubted`): none of them is called lost then, and
when that is over, whoever asks here listens anew. Whoever has not answered since we listen anew may
still hold a dead connection, and is given the time to notice that besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.core.lifecycle import NodeState

# One node has nobody who could take over, so nothing is won by asking it often.
ALONE = 5
NODES_PER_STEP = 50
# An agent gives a silent connection up after 5 s (worker/app.py), and then logs in anew.
RECONNECTING = timedelta(seconds=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often nodes are asked, and after how much silence they are suspect and lost."""

    ping: timedelta = timedelta(seconds=1)
    suspect: timedelta = timedelta(seconds=3)
    lost: timedelta = timedelta(seconds=8)

    def __post_init__(self) -> None:
        """Refuse times under which a node that answers could be lost."""
        if not timedelta(0) < self.ping < self.suspect < self.lost:
            raise ValueError("ping, suspect and lost must be positive and grow in this order")

    def stretched(self, nodes: int) -> Timing:
        """Return the times for so many nodes: longer for one, and for every further fifty."""
        factor = ALONE if nodes <= 1 else max(1, -(-nodes // NODES_PER_STEP))
        return Timing(
            ping=self.ping * factor, suspect=self.suspect * factor, lost=self.lost * factor
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What is known of one node: when it last answered, and when it last reported."""

    name: str
    state: NodeState
    heard_at: datetime
    told_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The states of all nodes, and those that would be lost if it were not most of them."""

    states: Mapping[str, NodeState]
    doubted: frozenset[str]


def given_up_at(heard_at: datetime, *, listening_since: datetime, timing: Timing) -> datetime:
    """Return when a node is lost unless it answers before."""
    if heard_at > listening_since:
        return heard_at + timing.lost
    return listening_since + timing.lost + RECONNECTING


def judge(
    nodes: Sequence[Hearing], *, now: datetime, listening_since: datetime, timing: Timing
) -> Judgement:
    """Return what to believe of each node now."""
    silence = {node.name: now - max(node.heard_at, listening_since) for node in nodes}
    # Whoever was lost before is no news, and no reason to doubt the others.
    present = [node.name for node in nodes if node.state is not NodeState.LOST]
    quiet = [name for name in present if silence[name] > timing.suspect]
    overdue = {
        node.name
        for node in nodes
        if node.name in quiet
        and now > given_up_at(node.heard_at, listening_since=listening_since, timing=timing)
    }
    doubted = frozenset(overdue if 2 * len(quiet) > len(present) else ())
    states = {}
    for node in nodes:
        is_heard = node.heard_at > listening_since and silence[node.name] <= timing.suspect
        if is_heard and (node.state is not NodeState.LOST or now - node.told_at <= timing.suspect):
            states[node.name] = NodeState.READY
        elif node.name in overdue - doubted:
            states[node.name] = NodeState.LOST
        elif node.name in quiet:
            states[node.name] = NodeState.SUSPECT
        else:
            states[node.name] = node.state
    return Judgement(states=states, doubted=doubted)
