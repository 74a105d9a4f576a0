"""Which of the nodes that fit is picked, how full they get, and what is said when none fits."""

import pytest

from orchestrator.core.constraints import NodeTerm, PlacementRules, Taint, TaintEffect, Toleration
from orchestrator.core.lifecycle import NodeState
from orchestrator.core.placement.explanation import MAX_SENTENCE
from orchestrator.core.placement.placer import Placer
from tests.factories import a_node, a_replica, a_revision, a_snapshot, amounts, needs, requests

ANY = a_revision()


def placer(nodes, revisions=(ANY,), replicas=()):
    return Placer(a_snapshot(nodes=nodes, revisions=tuple(revisions), replicas=tuple(replicas)))


def places(number, nodes, revision=ANY, replicas=()):
    handing = placer(nodes, (revision,), replicas)
    return [handing.place(revision) for _ in range(number)]


def test_replicas_spread_over_nodes_and_ties_go_by_name():
    assert places(4, (a_node("a"), a_node("b"), a_node("c"))) == ["a", "b", "c", "a"]


def test_a_node_with_fewest_of_the_same_deployment_wins_over_an_emptier_one():
    nodes = (a_node("a", replicas=1), a_node("b", replicas=9, reserved=amounts(900)))

    assert places(1, nodes, replicas=(a_replica("r", node="a"),)) == ["b"]


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        pytest.param({"reserved": amounts(500)}, {"reserved": amounts(300)}, id="less-allocated"),
        pytest.param({"reserved": amounts(310)}, {"reserved": amounts(300)}, id="a-little-less"),
        pytest.param(
            {"reserved": amounts(310)},
            {"reserved": amounts(390), "images": frozenset({"app:1"})},
            id="the-image-is-there",
        ),
        pytest.param({"replicas": 5}, {"replicas": 2}, id="fewest-replicas-at-all"),
        pytest.param({"failures": 1}, {"reserved": amounts(900)}, id="nothing-failed-there"),
        pytest.param(
            {"taints": (Taint(key="slow", effect=TaintEffect.PREFER_NO_SCHEDULE),)},
            {"failures": 3},
            id="no-taint-to-rather-avoid",
        ),
    ],
)
def test_among_equals_the_better_node_wins(worse, better):
    capacity = amounts(1000)
    nodes = (a_node("a", capacity=capacity, **worse), a_node("b", capacity=capacity, **better))

    assert places(1, nodes, a_revision(image="app:1")) == ["b"]


def test_a_failure_counts_as_two_replicas_and_no_more():
    nodes = (a_node("a", failures=1), a_node("b"))

    assert places(4, nodes) == ["b", "b", "a", "b"]


def test_preferred_labels_come_before_our_own_spreading():
    term = NodeTerm(selector=needs("disk", "In", "ssd"), weight=1)
    nodes = (a_node("a"), a_node("b", labels=(("disk", "ssd"),)))

    rules = PlacementRules(node_preferred=(term,))

    assert places(2, nodes, a_revision(rules=rules)) == ["b", "b"]


def test_a_tolerated_taint_is_not_avoided():
    taint = Taint(key="slow", effect=TaintEffect.PREFER_NO_SCHEDULE)
    rules = PlacementRules(tolerations=(Toleration(key="slow"),))

    assert places(1, (a_node("a", taints=(taint,)), a_node("b")), a_revision(rules=rules)) == ["a"]


def test_what_another_revision_placed_counts():
    revisions = (a_revision(1), a_revision(2))
    handing = placer((a_node("a"), a_node("b")), revisions)

    assert [handing.place(revisions[turn]) for turn in (0, 1, 0)] == ["a", "b", "a"]


def test_ranks_of_one_revision_follow_what_another_placed():
    picky = a_revision(2, node_selector=(("disk", "ssd"),))
    handing = placer((a_node("a", labels=(("disk", "ssd"),)), a_node("b")), (a_revision(1), picky))

    placed = [handing.place(revision) for revision in (a_revision(1), picky, picky)]

    assert placed == ["a", "a", "a"]
    assert handing.place(a_revision(1)) == "b"


@pytest.mark.parametrize(
    ("node", "asked", "expected"),
    [
        pytest.param({"capacity": amounts(1000)}, requests(cpu=500), 2, id="cpu"),
        pytest.param({"capacity": amounts(0, 1000)}, requests(memory=400), 2, id="memory"),
        pytest.param({"capacity": amounts(1000, 1000)}, requests(100, 400), 2, id="the-scarcer"),
        pytest.param(
            {"capacity": amounts(1000), "reserved": amounts(800)}, requests(cpu=200), 1, id="taken"
        ),
        pytest.param(
            {"capacity": amounts(1000), "reserved": amounts(1200)}, requests(), 3, id="asks-nothing"
        ),
        pytest.param({}, requests(8000, 8000), 3, id="a-node-that-states-no-capacity"),
    ],
)
def test_no_more_is_placed_than_fits(node, asked, expected):
    placed = places(3, (a_node("a", **node),), a_revision(resources=asked))

    assert placed == ["a"] * expected + [None] * (3 - expected)


def test_a_running_replica_grows_only_into_what_is_left():
    handing = placer((a_node("a", capacity=amounts(1000), reserved=amounts(600)),))
    replica = a_replica("r", reserved=amounts(600))

    assert not handing.grow(replica, amounts(1100))
    assert handing.grow(replica, amounts(1000))
    assert not handing.grow(a_replica("s", reserved=amounts(100)), amounts(200))
    assert handing.grow(a_replica("s", reserved=amounts(100)), amounts(50))
    assert not handing.grow(a_replica("t", node="unknown"), amounts(50))


def explained(nodes, revision):
    return placer(nodes, (revision,)).explain(revision)


def test_few_nodes_are_named_one_by_one():
    nodes = (a_node("a", cordoned=True), a_node("b"))
    revision = a_revision(node_selector=(("disk", "ssd"),))

    assert explained(nodes, revision).message == (
        "no node fits: a is cordoned and lacks label disk=ssd; b lacks label disk=ssd; "
        "it would fit on b if it had label disk=ssd"
    )


def test_many_nodes_are_grouped_by_reason():
    nodes = (
        *(a_node(f"n{number}", cordoned=True) for number in range(3)),
        a_node("z", state=NodeState.LOST),
    )

    assert explained(nodes, a_revision()).message == (
        "no node fits: 3 nodes are cordoned; 1 node is lost; "
        "it would fit on n0 if it was uncordoned"
    )


def test_full_nodes_are_grouped_whatever_they_have_left():
    nodes = tuple(
        a_node(f"n{left}", capacity=amounts(0, 1000), reserved=amounts(0, 1000 - left))
        for left in (10, 300, 844, 0)
    )

    explanation = explained(nodes, a_revision(resources=requests(memory=1024)))

    assert explanation.message == (
        "no node fits: 4 nodes have too little memory left for 1024Mi; "
        "it would fit on n844 with memory ≤ 844Mi"
    )
    assert explanation.nodes[0].node == "n0"
    assert explanation.nodes[0].objections == ("has 0Ki of memory left and 1024Mi are requested",)


def test_every_node_is_there_with_everything_it_objects_to():
    taint = Taint(key="gpu", effect=TaintEffect.NO_SCHEDULE)
    nodes = (
        a_node("a", capacity=amounts(2000, 100), reserved=amounts(1900, 50), taints=(taint,)),
        a_node("b", cordoned=True),
    )

    explanation = explained(nodes, a_revision(resources=requests(500, 80)))

    assert [(node.node, node.objections) for node in explanation.nodes] == [
        (
            "a",
            (
                "has the taint gpu:NoSchedule, not tolerated",
                "has 100m of cpu left and 500m are requested",
                "has 50Mi of memory left and 80Mi are requested",
            ),
        ),
        ("b", ("is cordoned",)),
    ]


@pytest.mark.parametrize(
    ("nodes", "fix"),
    [
        pytest.param(
            (a_node("a", cordoned=True), a_node("b", capacity=amounts(800))),
            "would fit on b with cpu ≤ 800m",
            id="asking-for-less-is-nearest",
        ),
        pytest.param(
            (a_node("a", cordoned=True), a_node("b", state=NodeState.SUSPECT)),
            "would fit on a if it was uncordoned",
            id="uncordoning-before-repairing",
        ),
        pytest.param(
            (
                a_node("a", cordoned=True, capacity=amounts(800)),
                a_node("b", state=NodeState.SUSPECT),
            ),
            "would fit on b if it responded",
            id="one-thing-before-two",
        ),
        pytest.param(
            (a_node("a", cordoned=True, capacity=amounts(800)),),
            "would fit on a if it was uncordoned and with cpu ≤ 800m",
            id="everything-that-is-needed",
        ),
        pytest.param(
            (a_node("a", capacity=amounts(800), reserved=amounts(800)),),
            "would fit on a once 1 of cpu are free there",
            id="nothing-left-at-all",
        ),
        pytest.param((), "", id="no-node"),
    ],
)
def test_the_nearest_fix(nodes, fix):
    assert explained(nodes, a_revision(resources=requests(cpu=1000))).fix == fix


def test_no_node_at_all_is_said_plainly():
    assert explained((), a_revision()).message == "no node fits: none has joined yet"


def test_a_node_that_would_take_it_is_named():
    explanation = explained((a_node("a", cordoned=True), a_node("b")), a_revision())

    assert (explanation.message, explanation.fix) == ("it fits on b now", "")


def test_a_very_long_explanation_is_cut_and_keeps_its_fix():
    long = a_revision(node_selector=tuple((f"key{n}", "v" * 60) for n in range(9)))
    nodes = (a_node("a", cordoned=True), a_node("b", state=NodeState.LOST), a_node("c"))

    explanation = explained(nodes, long)

    assert len(explanation.message) <= MAX_SENTENCE
    assert explanation.message.endswith(f"…; it {explanation.fix}")
