"""Few moves that spread replicas better; nothing when there is nothing to gain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core import candidates, rebalancing
from orchestrator.core.constraints import (
    PlacementRules,
    PodTerm,
    SpreadRule,
    Taint,
    TaintEffect,
)
from orchestrator.core.landscape import Landscape
from orchestrator.core.lifecycle import NodeState, RolloutState
from orchestrator.core.snapshot import NeighbourView
from orchestrator.core.spec import NOTHING
from tests.factories import (
    HOUR_AGO,
    a_node,
    a_policy,
    a_replica,
    a_revision,
    a_rollout,
    a_running_snapshot,
    a_spec,
    amounts,
    needs,
    requests,
)

HOST = "kubernetes.io/hostname"


def on(places, /, *, name="default/web", size=None, nodes="abc", revision=None, **fields):
    """Return a deployment at rest whose replicas are on these nodes, one letter each."""
    replicas = tuple(
        a_replica(f"{name[-3:]}{slot}", slot=slot, node=node, reserved=size or NOTHING)
        for slot, node in enumerate(places)
    )
    number = len(places)
    made = revision or a_revision(1, number, completed=True)
    fields.setdefault("spec", a_spec(number))
    return a_running_snapshot(
        number,
        deployment=name,
        replicas=replicas,
        revisions=(replace(made, desired=number),),
        nodes=tuple(a_node(node, labels=((HOST, node),)) for node in nodes),
        **fields,
    )


def with_nodes(snapshot, **changes):
    """Return the snapshot with single nodes changed."""
    nodes = (replace(node, **changes.get(node.name, {})) for node in snapshot.nodes)
    return replace(snapshot, nodes=tuple(nodes))


def moved(*snapshots):
    """Return from where to where the proposal moves something."""
    return [move.source + move.target for move in rebalancing.propose(snapshots).moves]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        pytest.param("aaa", ["ab", "ac"], id="one-for-each-empty-node"),
        pytest.param("aaaab", ["ac", "ab"], id="few-moves-the-best-first"),
        pytest.param("abc", [], id="even-already"),
        pytest.param("aabc", [], id="as-even-as-it-gets"),
        pytest.param("", [], id="nothing-runs"),
    ],
)
def test_what_is_moved_to_spread_a_deployment(places, expected):
    assert moved(on(places)) == expected


def test_a_move_says_what_it_gains_and_what_it_costs():
    (move, _) = rebalancing.propose([on("aaa", size=amounts(100, 64))]).moves

    assert move.gain == "a runs 3 of its 3 replicas and b 0; then 2 and 1"
    assert (move.pairs, move.replica, move.deployment) == (2, "web0", "default/web")
    assert "for about 1 s one more runs, which reserves 100m cpu and 64Mi of memory" in move.cost


def test_without_room_for_both_a_move_costs_a_serving_replica():
    (move, _) = rebalancing.propose([on("aaa", spec=a_spec(3, policy=a_policy(0, 1)))]).moves

    assert (move.fewer, "one fewer serves" in move.cost) == (1, True)


def test_how_long_it_takes_is_what_the_quickest_replica_took():
    slow = on("aa")
    first = replace(slow.replicas[0], ready_at=HOUR_AGO + timedelta(seconds=7))
    second = replace(slow.replicas[1], ready_at=HOUR_AGO + timedelta(seconds=90))

    (move,) = rebalancing.propose([replace(slow, replicas=(first, second))]).moves

    assert move.seconds == 7


def test_the_whole_is_told_before_and_after():
    full = with_nodes(
        on("aaa", size=amounts(300), nodes="ab"),
        a={"capacity": amounts(1000), "reserved": amounts(900)},
        b={"capacity": amounts(1000)},
    )

    proposal = rebalancing.propose([full])

    before, after = proposal.before, proposal.after
    assert (before.pairs, before.fullest, before.emptiest) == (3, 900, 0)
    assert (after.pairs, after.fullest, after.emptiest) == (1, 600, 300)


def singles(number, *, millis=200, **fields):
    """Return deployments of one replica each, all on node a, which they fill."""
    found = [
        on("a", name=f"default/w-{n}", size=amounts(millis), nodes="ab", **fields)
        for n in range(number)
    ]
    full = {"capacity": amounts(1000), "reserved": amounts(number * millis)}
    return [with_nodes(item, a=full, b={"capacity": amounts(1000)}) for item in found]


def test_the_fuller_node_is_relieved_until_little_would_be_gained():
    proposal = rebalancing.propose(singles(4))

    assert [move.source + move.target for move in proposal.moves] == ["ab", "ab"]
    assert proposal.moves[0].gain == "a is 80 % reserved and b 0 %; then 60 % and 20 %"
    assert proposal.moves[0].relief == 200


def test_small_gains_move_nothing():
    assert moved(*singles(4, millis=90)) == []
    assert moved(*singles(4, millis=100)) == ["ab", "ab"]


def test_balance_never_crowds_a_deployment():
    web = with_nodes(
        on("ab", size=amounts(400), nodes="ab"),
        a={"capacity": amounts(1000), "reserved": amounts(900)},
        b={"capacity": amounts(1000), "reserved": amounts(400)},
    )

    assert moved(web) == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"cordoned": True}, id="cordoned"),
        pytest.param({"draining": True, "cordoned": True}, id="drained"),
        pytest.param({"state": NodeState.SUSPECT}, id="suspect"),
        pytest.param({"state": NodeState.LOST}, id="lost"),
        pytest.param(
            {"taints": (Taint(key="gpu", value="", effect=TaintEffect.NO_SCHEDULE),)}, id="tainted"
        ),
        pytest.param(
            {"taints": (Taint(key="old", value="", effect=TaintEffect.PREFER_NO_SCHEDULE),)},
            id="rather-avoided",
        ),
        pytest.param({"capacity": amounts(100), "reserved": amounts(50)}, id="too-full"),
    ],
)
def test_a_node_that_takes_no_replica_or_is_liked_less_gets_none(change):
    revision = a_revision(1, completed=True, resources=requests(cpu=60))

    assert moved(with_nodes(on("aa", nodes="ab", revision=revision), b=change)) == []


def ruled(**rules):
    """Return a completed revision with these rules about placement."""
    labels = (("app", "web"),)
    return a_revision(1, completed=True, labels=labels, rules=PlacementRules(**rules))


WEB = needs("app", "In", "web")


def test_required_spread_holds_once_the_replica_has_left():
    zones = {"a": "z1", "b": "z2", "c": "z2"}
    rule = SpreadRule(topology_key="zone", max_skew=1, is_required=True, selector=WEB)
    even = on("aabb", revision=ruled(spread=(rule,)))
    even = with_nodes(even, **{name: {"labels": (("zone", zone),)} for name, zone in zones.items()})

    assert moved(even) == ["bc"]


def test_what_others_must_be_near_to_is_not_taken_away():
    near = PodTerm(selector=WEB, topology_key=HOST)
    web = on("aab", nodes="abc", revision=ruled())
    guest = on("a", name="default/log", revision=ruled(near_required=(near,)))
    stranger = replace(guest, deployment="other/log")

    assert moved(web, guest) == []
    assert moved(web, stranger) == ["ac"]


def test_who_wants_to_be_apart_from_it_keeps_it_away():
    apart = PodTerm(selector=WEB, topology_key=HOST)
    jealous = replace(
        on("b", name="default/bad", nodes="ab", revision=ruled(apart_required=(apart,)))
    )
    web = replace(on("aa", nodes="ab", revision=ruled()), neighbours=_as_neighbours(jealous))

    assert moved(web, jealous) == []


def _as_neighbours(snapshot):
    revision = snapshot.revisions[0]
    return tuple(
        NeighbourView(
            node=view.node, labels=revision.labels, live=1, apart=revision.rules.apart_required
        )
        for view in snapshot.replicas
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"deleting": True}, "it is being deleted", id="deleted"),
        pytest.param(
            {"rollout": a_rollout(RolloutState.PROGRESSING)},
            "its rollout is not complete",
            id="rolling",
        ),
        pytest.param({"spec": a_spec(3)}, "2 of 3 replicas are available", id="growing"),
    ],
)
def test_who_is_not_at_rest_takes_no_part_and_it_is_said(change, why):
    proposal = rebalancing.propose([replace(on("aa"), **change)])

    assert (proposal.moves, proposal.skipped) == ((), (f"default/web: {why}",))


def test_nothing_goes_to_where_it_failed_lately():
    beside = on("aaa", name="default/api", nodes="abc")
    web = with_nodes(on("aaa", nodes="abc"), b={"failures": 1})

    assert moved(web, beside) == ["ab", "ac", "ac"]


def test_there_is_a_limit_and_it_is_said():
    many = [on("aa", name=f"default/w-{n}", nodes="ab") for n in range(60)]

    proposal = rebalancing.propose(many)

    assert (len(proposal.moves), proposal.is_cut) == (50, True)
    assert not rebalancing.propose(many[:50]).is_cut


def test_only_the_moves_that_may_be_the_best_are_looked_at(monkeypatch):
    # Six deployments, each with a pair on one of 26 nodes; a move of any gains the same.
    nodes = "abcdefghijklmnopqrstuvwxyz"
    crowded = [on(2 * node, name=f"default/w-{node}", nodes=nodes) for node in "abcdef"]
    scattered = [on(nodes[:20], name=f"default/v-{n}", nodes=nodes) for n in range(6)]
    made = []
    original = candidates.Candidate
    monkeypatch.setattr(candidates, "Candidate", lambda **v: made.append(v) or original(**v))

    land = Landscape([*crowded, *scattered])
    first = next(candidates.Candidates(land, list(land.snapshots)).best_first())

    assert (first.deployment, first.source, first.target, first.pairs) == (
        "default/w-a",
        "a",
        "b",
        1,
    )
    assert len(made) == 25
