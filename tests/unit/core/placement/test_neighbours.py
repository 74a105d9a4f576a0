"""Near, apart, spread: what the neighbours of a node have against a replica."""

import pytest

from orchestrator.core.constraints import PlacementRules, PodTerm, SpreadRule
from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.placement.placer import Placer
from orchestrator.core.snapshot import NeighbourView
from tests.factories import a_node, a_replica, a_revision, a_snapshot, needs

HOST = "kubernetes.io/hostname"
WEB = needs("app", "In", "web")
DB = needs("app", "In", "db")


def nodes(*zones):
    """Return nodes a, b, c … in these zones (None: in none)."""
    return tuple(
        a_node(name, labels=((HOST, name), *((("zone", zone),) if zone else ())))
        for name, zone in zip("abcdef", zones, strict=False)
    )


def placed(number, rules, /, *, labels=(("app", "web"),), **fields):
    """Return where so many replicas go, one after another."""
    fields.setdefault("nodes", nodes("1", "1", "2"))
    revision = a_revision(rules=rules, labels=labels)
    placer = Placer(a_snapshot(revisions=(revision,), **fields))
    return [placer.place(revision) for _ in range(number)]


def db_on(node, live=1, **fields):
    return NeighbourView(node=node, labels=(("app", "db"),), live=live, **fields)


def test_replicas_that_must_be_apart_take_a_node_each():
    rules = PlacementRules(apart_required=(PodTerm(selector=WEB, topology_key=HOST),))

    assert placed(4, rules) == ["a", "b", "c", None]


def test_apart_by_a_label_means_one_for_all_nodes_that_share_it():
    rules = PlacementRules(apart_required=(PodTerm(selector=WEB, topology_key="zone"),))

    assert placed(3, rules) == ["a", "c", None]


def test_a_leaving_replica_still_keeps_others_away():
    rules = PlacementRules(apart_required=(PodTerm(selector=WEB, topology_key=HOST),))
    leaving = a_replica("old", node="a", phase=ReplicaPhase.STOPPING)

    assert placed(3, rules, replicas=(leaving,)) == ["b", "c", None]


def test_apart_from_a_label_the_node_lacks_means_nothing():
    rules = PlacementRules(apart_required=(PodTerm(selector=WEB, topology_key="rack"),))

    assert placed(4, rules) == ["a", "b", "c", "a"]


def test_somebody_elses_wish_to_be_apart_counts_as_well():
    apart = (PodTerm(selector=WEB, topology_key="zone"),)

    assert placed(1, PlacementRules(), neighbours=(db_on("a", apart=apart),)) == ["c"]


def test_somebody_elses_wish_about_others_does_not_matter():
    apart = (PodTerm(selector=DB, topology_key="zone"),)

    assert placed(1, PlacementRules(), neighbours=(db_on("a", apart=apart),)) == ["a"]


def test_a_replica_goes_near_those_it_must_be_near_to():
    rules = PlacementRules(near_required=(PodTerm(selector=DB, topology_key="zone"),))

    assert placed(2, rules, neighbours=(db_on("c"),)) == ["c", "c"]


def test_leaving_replicas_attract_nobody():
    rules = PlacementRules(near_required=(PodTerm(selector=DB, topology_key="zone"),))

    assert placed(1, rules, neighbours=(db_on("c", live=0, leaving=1),)) == [None]


def test_the_first_of_its_own_kind_goes_anywhere_and_the_rest_follow():
    rules = PlacementRules(near_required=(PodTerm(selector=WEB, topology_key="zone"),))

    assert placed(3, rules, nodes=nodes("2", "1", "1")) == ["a", "a", "a"]


def test_a_node_without_the_label_is_near_to_nothing():
    rules = PlacementRules(near_required=(PodTerm(selector=WEB, topology_key="zone"),))

    assert placed(1, rules, nodes=nodes(None)) == [None]


@pytest.mark.parametrize(
    ("rules", "fields", "message"),
    [
        pytest.param(
            {"apart_required": (PodTerm(selector=WEB, topology_key=HOST),)},
            {"replicas": (a_replica("r", node="a"),)},
            "no node fits: a has a replica with app=web in it; "
            "it would fit on a if no replica with app=web ran there",
            id="apart-is-told-once",
        ),
        pytest.param(
            {"near_required": (PodTerm(selector=DB, topology_key="zone"),)},
            {},
            "no node fits: a has no replica with app=db in its zone; "
            "it would fit on a if a replica with app=db ran there",
            id="near",
        ),
        pytest.param(
            {"near_required": (PodTerm(selector=DB, topology_key="rack"),)},
            {},
            "no node fits: a has no label rack; it would fit on a if it had a label rack",
            id="no-label",
        ),
        pytest.param(
            {},
            {"neighbours": (db_on("a", apart=(PodTerm(selector=WEB, topology_key=HOST),)),)},
            "no node fits: a has a replica in it that wants to be apart from this one; "
            "it would fit on a if the replica with that anti-affinity ran elsewhere",
            id="symmetric",
        ),
    ],
)
def test_every_reason_is_told(rules, fields, message):
    revision = a_revision(rules=PlacementRules(**rules), labels=(("app", "web"),))
    snapshot = a_snapshot(nodes=nodes("1"), revisions=(revision,), **fields)

    assert Placer(snapshot).explain(revision).message == message


def spread(key="zone", skew=1, *, required=True, selector=WEB):
    rule = SpreadRule(selector=selector, topology_key=key, max_skew=skew, is_required=required)
    return PlacementRules(spread=(rule,))


@pytest.mark.parametrize(
    ("zones", "rules", "expected"),
    [
        pytest.param("112", spread(), ["a", "c", "b", "c"], id="zones-fill-evenly"),
        pytest.param("112", spread(skew=2), ["a", "b", "c", "a"], id="skew-leaves-room"),
        pytest.param("1", spread(), ["a", "a"], id="one-domain-is-always-even"),
        pytest.param([None, "1"], spread(), ["b", "b"], id="outside-of-all-domains"),
        pytest.param("112", spread(selector=DB), ["a", "b", "c"], id="counts-others-only"),
        pytest.param(
            "112", spread(required=False), ["a", "c", "b", "c"], id="soft-spreads-while-it-can"
        ),
    ],
)
def test_spread(zones, rules, expected):
    assert placed(len(expected), rules, nodes=nodes(*zones)) == expected


def test_a_domain_in_which_nothing_can_run_holds_nobody_up():
    open_, closed = nodes("1", "2")
    fields = {name: getattr(closed, name) for name in ("name", "labels")}

    assert placed(2, spread(), nodes=(open_, a_node(**fields, cordoned=True))) == ["a", "a"]


def test_a_full_domain_holds_a_hard_spread_and_says_by_how_much():
    revision = a_revision(rules=spread(), labels=(("app", "web"),))
    replicas = (a_replica("r", node="a"),)
    crowded = a_snapshot(
        nodes=nodes("1", "2"),
        revisions=(revision,),
        replicas=replicas,
        neighbours=(
            NeighbourView(node="b", apart=(PodTerm(selector=WEB, topology_key=HOST),), live=1),
        ),
    )

    explanation = Placer(crowded).explain(revision)

    assert explanation.nodes[0].objections == ("would be more than 1 apart by zone",)
    assert explanation.fix == "would fit on a with maxSkew ≥ 2 for zone"


def test_a_soft_spread_gives_way():
    (only,) = nodes("1")

    assert placed(2, spread(required=False), nodes=(only, a_node("z", cordoned=True))) == ["a", "a"]


def test_preferred_terms_weigh():
    near = PlacementRules(near_preferred=(PodTerm(selector=DB, topology_key="zone", weight=1),))
    apart = PlacementRules(apart_preferred=(PodTerm(selector=DB, topology_key="zone", weight=1),))

    assert placed(2, near, neighbours=(db_on("c"),)) == ["c", "c"]
    assert placed(3, apart, neighbours=(db_on("a"),)) == ["c", "c", "c"]
