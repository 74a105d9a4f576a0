"""Which node is picked, and what is said when none fits."""

import pytest

from orchestrator.core.lifecycle import NodeState
from orchestrator.core.placement import MAX_SENTENCE, Placer
from tests.factories import a_node, a_replica, a_revision


def test_replicas_spread_over_nodes_and_ties_go_by_name():
    placer = Placer((a_node("a"), a_node("b"), a_node("c")), ())

    assert [placer.place(a_revision()) for _ in range(4)] == ["a", "b", "c", "a"]


def test_a_node_with_fewest_of_the_same_deployment_wins_over_an_emptier_one():
    nodes = (a_node("a", replicas=1), a_node("b", replicas=9))

    assert Placer(nodes, (a_replica("r", node="a"),)).place(a_revision()) == "b"


def test_among_equals_the_node_with_fewest_replicas_at_all_wins():
    placer = Placer((a_node("a", replicas=5), a_node("b", replicas=2)), ())

    assert placer.place(a_revision()) == "b"


def test_what_another_revision_placed_counts():
    placer = Placer((a_node("a"), a_node("b")), ())
    placed = [placer.place(a_revision(1)), placer.place(a_revision(2)), placer.place(a_revision(1))]

    assert placed == ["a", "b", "a"]


def test_an_outdated_score_is_renewed_before_it_is_used():
    labelled = a_node("a", labels=(("disk", "ssd"),))
    placer = Placer((labelled, a_node("b")), ())
    picky = a_revision(2, node_selector=(("disk", "ssd"),))

    placed = [placer.place(revision) for revision in (a_revision(1), picky, picky)]

    assert placed == ["a", "a", "a"]
    assert placer.place(a_revision(1)) == "b"


@pytest.mark.parametrize(
    ("node", "why"),
    [
        pytest.param({"cordoned": True}, "a is cordoned", id="cordoned"),
        pytest.param({"state": NodeState.SUSPECT}, "a is suspect", id="suspect"),
        pytest.param({"state": NodeState.LOST}, "a is lost", id="lost"),
        pytest.param(
            {"labels": (("disk", "hdd"), ("zone", "1"))}, "a lacks label disk=ssd", id="label"
        ),
        pytest.param({"labels": ()}, "a lacks labels disk=ssd and zone=1", id="labels"),
        pytest.param({"runtimes": ("docker",)}, "a has no sandbox runtime", id="runtime"),
        pytest.param(
            {"cordoned": True, "state": NodeState.LOST}, "a is lost and is cordoned", id="both"
        ),
    ],
)
def test_every_reason_why_a_node_does_not_fit_is_named(node, why):
    selector = (("disk", "ssd"), ("zone", "1"))
    revision = a_revision(runtime_class="sandbox", node_selector=selector)
    placer = Placer((a_node("a", **{"runtimes": ("sandbox",), "labels": selector, **node}),), ())

    assert placer.place(revision) is None
    assert placer.explain(revision) == f"no node fits: {why}"


def test_two_nodes_are_named_one_by_one():
    nodes = (a_node("a", cordoned=True), a_node("b"))
    revision = a_revision(node_selector=(("disk", "ssd"),))

    explanation = Placer(nodes, ()).explain(revision)

    assert explanation == (
        "no node fits: a is cordoned and lacks label disk=ssd; b lacks label disk=ssd"
    )


def test_many_nodes_are_grouped_by_reason():
    nodes = (
        *(a_node(f"n{number}", cordoned=True) for number in range(3)),
        a_node("z", state=NodeState.LOST),
    )

    explanation = Placer(nodes, ()).explain(a_revision())

    assert explanation == "no node fits: 3 nodes are cordoned; 1 node is lost"


def test_no_node_at_all_is_said_plainly():
    assert Placer((), ()).explain(a_revision()) == "no node fits: none has joined yet"


def test_a_very_long_explanation_is_cut():
    revision = a_revision(node_selector=(("key", "v" * 500),))

    explanation = Placer((a_node("a"),), ()).explain(revision)

    assert len(explanation) == MAX_SENTENCE
    assert explanation.endswith("…")
