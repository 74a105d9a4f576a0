"""What a node itself has against a replica, filter by filter, and what would help."""

import pytest

from orchestrator.core.constraints import (
    NodeTerm,
    Operator,
    PlacementRules,
    Requirement,
    Taint,
    TaintEffect,
    Toleration,
)
from orchestrator.core.lifecycle import NodeState
from orchestrator.core.placement import filters
from tests.factories import a_node, a_revision, needs

GPU = Taint(key="dedicated", value="gpu", effect=TaintEffect.NO_SCHEDULE)
OLD = Taint(key="old", effect=TaintEffect.NO_SCHEDULE)
RATHER_NOT = Taint(key="slow", effect=TaintEffect.PREFER_NO_SCHEDULE)
SELECTOR = (("disk", "ssd"), ("zone", "1"))


def told(node, revision):
    """Return the words and remedies of everything a node objects to."""
    found = filters.objections(node, dict(node.labels), revision)
    return [(objection.singular, objection.remedy) for objection in found]


@pytest.mark.parametrize(
    ("node", "said", "remedy"),
    [
        pytest.param({"cordoned": True}, "is cordoned", "if it was uncordoned", id="cordoned"),
        pytest.param({"state": NodeState.SUSPECT}, "is suspect", "if it responded", id="suspect"),
        pytest.param({"state": NodeState.LOST}, "is lost", "if it responded", id="lost"),
        pytest.param(
            {"labels": (("disk", "hdd"), ("zone", "1"))},
            "lacks label disk=ssd",
            "if it had label disk=ssd",
            id="label",
        ),
        pytest.param(
            {"labels": ()},
            "lacks labels disk=ssd and zone=1",
            "if it had labels disk=ssd and zone=1",
            id="labels",
        ),
        pytest.param(
            {"runtimes": ("docker",)},
            "has no sandbox runtime",
            "if it had a sandbox runtime",
            id="runtime",
        ),
        pytest.param(
            {"taints": (GPU,)},
            "has the taint dedicated=gpu:NoSchedule, not tolerated",
            "with a toleration for dedicated=gpu:NoSchedule",
            id="taint",
        ),
        pytest.param(
            {"taints": (GPU, OLD, RATHER_NOT)},
            "has the taints dedicated=gpu:NoSchedule and old:NoSchedule, not tolerated",
            "with a toleration for dedicated=gpu:NoSchedule and old:NoSchedule",
            id="taints",
        ),
    ],
)
def test_each_filter_names_its_reason_and_what_would_help(node, said, remedy):
    revision = a_revision(runtime_class="sandbox", node_selector=SELECTOR)
    fitting = {"runtimes": ("sandbox",), "labels": SELECTOR}

    assert told(a_node(**fitting), revision) == []
    assert told(a_node(**{**fitting, **node}), revision) == [(said, remedy)]


def test_all_filters_are_asked():
    node = a_node(cordoned=True, state=NodeState.LOST, taints=(OLD,))

    said = [words for words, _ in told(node, a_revision(node_selector=(("disk", "ssd"),)))]

    assert said == [
        "is lost",
        "is cordoned",
        "lacks label disk=ssd",
        "has the taint old:NoSchedule, not tolerated",
    ]


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        pytest.param(needs("zone", "In", "a", "b"), True, id="in"),
        pytest.param(needs("zone", "In", "c"), False, id="not-among-them"),
        pytest.param(needs("disk", "In", "ssd"), False, id="missing-is-in-no-set"),
        pytest.param(needs("zone", "NotIn", "a"), False, id="in-what-it-must-not"),
        pytest.param(needs("disk", "NotIn", "hdd"), True, id="missing-is-not-in"),
        pytest.param(needs("zone", "Exists"), True, id="exists"),
        pytest.param(needs("disk", "Exists"), False, id="does-not-exist"),
        pytest.param(needs("disk", "DoesNotExist"), True, id="absent-as-asked"),
        pytest.param(needs("zone", "DoesNotExist"), False, id="present-though-it-must-not"),
        pytest.param(needs("cores", "Gt", "7"), True, id="greater"),
        pytest.param(needs("cores", "Gt", "8"), False, id="not-greater-than-itself"),
        pytest.param(needs("cores", "Lt", "-1"), False, id="less-than-a-negative"),
        pytest.param(needs("zone", "Gt", "1"), False, id="no-number"),
        pytest.param(needs("disk", "Lt", "1"), False, id="no-label-to-compare"),
        pytest.param(needs("zone") + needs("disk"), False, id="one-of-two-is-not-enough"),
        pytest.param((), True, id="nothing-asked"),
    ],
)
def test_node_affinity_compares_labels_as_kubernetes_does(selector, fits):
    rules = PlacementRules(node_required=(NodeTerm(selector=selector),))
    node = a_node(labels=(("cores", "8"), ("zone", "a")))

    assert (told(node, a_revision(rules=rules)) == []) is fits


def test_one_of_several_terms_is_enough_and_all_are_named():
    terms = (NodeTerm(selector=needs("zone", "In", "a")), NodeTerm(selector=needs("gpu")))
    revision = a_revision(rules=PlacementRules(node_required=terms))

    assert told(a_node(labels=(("gpu", ""),)), revision) == []
    assert told(a_node(), revision) == [
        (
            "does not match the node affinity (zone=a or gpu present)",
            "if its labels matched zone=a or gpu present",
        )
    ]


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        pytest.param(Toleration(), True, id="everything"),
        pytest.param(Toleration(key="dedicated"), True, id="any-value"),
        pytest.param(Toleration(key="dedicated", value="gpu"), True, id="this-value"),
        pytest.param(Toleration(key="dedicated", value=""), False, id="another-value"),
        pytest.param(Toleration(key="other"), False, id="another-key"),
        pytest.param(Toleration(key="dedicated", effect="NoSchedule"), True, id="effect"),
        pytest.param(Toleration(effect="NoExecute"), False, id="another-effect"),
    ],
)
def test_a_toleration_covers_key_value_and_effect(toleration, covers):
    revision = a_revision(rules=PlacementRules(tolerations=(toleration,)))

    assert (told(a_node(taints=(GPU,)), revision) == []) is covers


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        (Requirement(key="a", operator=Operator.IN, values=("x",)), "a=x"),
        (Requirement(key="a", operator=Operator.IN, values=("x", "y")), "a in (x, y)"),
        (Requirement(key="a", operator=Operator.NOT_IN, values=("x",)), "a not in (x)"),
        (Requirement(key="a", operator=Operator.EXISTS), "a present"),
        (Requirement(key="a", operator=Operator.DOES_NOT_EXIST), "a absent"),
        (Requirement(key="a", operator=Operator.GT, values=("3",)), "a>3"),
        (Requirement(key="a", operator=Operator.LT, values=("3",)), "a<3"),
    ],
)
def test_a_requirement_reads_as_a_comparison(requirement, words):
    assert str(requirement) == words
