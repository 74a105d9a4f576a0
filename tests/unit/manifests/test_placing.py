"""Affinity, spread and tolerations: what they mean, and what is wrong with some."""

from __future__ import annotations

import pytest

from orchestrator.core.constraints import (
    NodeTerm,
    PlacementRules,
    PodTerm,
    SpreadRule,
    Toleration,
)
from orchestrator.manifests import deployment, placing
from tests.factories import needs
from tests.unit.manifests.samples import faults, only

HEAD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "nginx:1"}]
"""
POD = "spec.template.spec."

EVERYTHING = """\
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
            - matchExpressions:
              - {key: disk, operator: In, values: [ssd, nvme]}
              - {key: cores, operator: Gt, values: ["4"]}
            - matchExpressions: [{key: gpu, operator: Exists}]
          preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 50
            preference:
              matchExpressions: [{key: zone, operator: NotIn, values: [a]}]
        podAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {labelSelector: {matchLabels: {app: db}}, topologyKey: zone}
          preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 1
            podAffinityTerm: {labelSelector: {}, topologyKey: zone}
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - labelSelector:
              matchLabels: {app: web}
              matchExpressions: [{key: tier, operator: DoesNotExist}]
            topologyKey: kubernetes.io/hostname
      topologySpreadConstraints:
      - maxSkew: 2
        topologyKey: zone
        whenUnsatisfiable: ScheduleAnyway
        labelSelector: {matchLabels: {app: web}}
        nodeTaintsPolicy: Honor
      tolerations:
      - {key: dedicated, value: gpu, effect: NoSchedule}
      - {operator: Exists}
      - {key: old}
"""


def test_everything_written_is_understood():
    template = deployment.template_of(only(HEAD + EVERYTHING).full)

    assert placing.rules_of(template) == PlacementRules(
        node_required=(
            NodeTerm(selector=needs("disk", "In", "ssd", "nvme") + needs("cores", "Gt", "4")),
            NodeTerm(selector=needs("gpu")),
        ),
        node_preferred=(NodeTerm(selector=needs("zone", "NotIn", "a"), weight=50),),
        near_required=(PodTerm(selector=needs("app", "In", "db"), topology_key="zone"),),
        near_preferred=(PodTerm(selector=(), topology_key="zone", weight=1),),
        apart_required=(
            PodTerm(
                selector=needs("app", "In", "web") + needs("tier", "DoesNotExist"),
                topology_key="kubernetes.io/hostname",
            ),
        ),
        spread=(
            SpreadRule(
                selector=needs("app", "In", "web"),
                topology_key="zone",
                max_skew=2,
                is_required=False,
            ),
        ),
        tolerations=(
            Toleration(key="dedicated", value="gpu", effect="NoSchedule"),
            Toleration(),
            Toleration(key="old", value=""),
        ),
    )


def test_a_template_without_any_asks_nothing():
    assert placing.rules_of(deployment.template_of(only(HEAD).full)) == PlacementRules()


@pytest.mark.parametrize(
    "change",
    ["tolerations: [{operator: Exists}]", "affinity: {podAffinity: {}}", "nodeSelector: {a: b}"],
)
def test_a_change_rolls_out_as_in_kubernetes(change):
    before, after = (
        deployment.rollout_hash(deployment.template_of(only(text).full))
        for text in (HEAD, f"{HEAD}      {change}\n")
    )

    assert (before != after) is ("{}" not in change)


NODES = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
PODS = "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution"


def _node(expression: str) -> str:
    return (
        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
        f"{{nodeSelectorTerms: [{{matchExpressions: [{expression}]}}]}}}}}}"
    )


def _pod(term: str) -> str:
    return (
        f"affinity: {{podAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [{term}]}}}}"
    )


def _spread(more: str) -> str:
    return (
        "topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, "
        f"whenUnsatisfiable: DoNotSchedule, labelSelector: {{}}, {more}}}]"
    )


@pytest.mark.parametrize(
    ("pod", "fault"),
    [
        pytest.param(
            _node("{key: a, operator: In}"),
            f"{NODES}.nodeSelectorTerms[0].matchExpressions[0].values: "
            "is required with In; give at least one value",
            id="a-set-without-values",
        ),
        pytest.param(
            _node("{key: a, operator: Exists, values: [b]}"),
            f"{NODES}.nodeSelectorTerms[0].matchExpressions[0].values: "
            "makes no sense with Exists; remove it",
            id="presence-with-values",
        ),
        pytest.param(
            _node('{key: a, operator: Gt, values: ["x"]}'),
            f"{NODES}.nodeSelectorTerms[0].matchExpressions[0].values: "
            'must be one whole number in quotes with Gt, not "x"',
            id="greater-than-a-word",
        ),
        pytest.param(
            _node("{key: a, operator: Equals}"),
            f"{NODES}.nodeSelectorTerms[0].matchExpressions[0].operator: "
            '"Equals" is not supported here; use In, NotIn, Exists, DoesNotExist, Gt, Lt',
            id="unknown-operator",
        ),
        pytest.param(
            _node(""),
            f"{NODES}.nodeSelectorTerms[0].matchExpressions: "
            "has 0 items; 1 to 64 are accepted",
            id="an-empty-term",
        ),
        pytest.param(
            f"affinity: {{nodeAffinity: {{{NODES.rsplit('.', maxsplit=1)[-1]}: "
            "{nodeSelectorTerms: [{matchFields: [], "
            "matchExpressions: [{key: a, operator: Exists}]}]}}}",
            f"{NODES}.nodeSelectorTerms[0].matchFields: matchFields is not supported yet; "
            "use matchExpressions with the label kubernetes.io/hostname",
            id="match-fields",
        ),
        pytest.param(
            _pod("{topologyKey: zone, labelSelector: {matchExpressions: "
                 '[{key: a, operator: Gt, values: ["1"]}]}}'),
            f"{PODS}[0].labelSelector.matchExpressions[0].operator: "
            '"Gt" is not supported here; use In, NotIn, Exists, DoesNotExist',
            id="replicas-have-no-numbers",
        ),
        pytest.param(
            _pod("{topologyKey: zone, labelSelector: {}, namespaces: [a]}"),
            f"{PODS}[0].namespaces: namespaces is not supported yet; "
            "only replicas of the same namespace are looked at",
            id="other-namespaces",
        ),
        pytest.param(
            _pod("{topologyKey: zone}"), f"{PODS}[0].labelSelector: is required", id="nobody"
        ),
        pytest.param(
            _spread("minDomains: 2"),
            "topologySpreadConstraints[0].minDomains: minDomains is not supported yet; remove it",
            id="min-domains",
        ),
        pytest.param(
            _spread("nodeTaintsPolicy: Ignore"),
            "topologySpreadConstraints[0].nodeTaintsPolicy: is not supported yet with this value; "
            'only "Honor" is accepted',
            id="another-policy",
        ),
        pytest.param(
            "tolerations: [{operator: Exists, value: a}]",
            "tolerations[0].value: makes no sense with operator Exists; remove it",
            id="any-value-and-one",
        ),
        pytest.param(
            "tolerations: [{value: a}]",
            "tolerations[0].key: is required with operator Equal",
            id="a-value-of-nothing",
        ),
        pytest.param(
            "tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 5}]",
            "tolerations[0].tolerationSeconds: tolerationSeconds is not supported yet; "
            "nothing running is ended for a taint, so remove it",
            id="seconds",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_told_where_it_is(pod, fault):
    (told,) = faults(f"{HEAD}      {pod}\n")

    assert told.split(": ", 1)[1] == f"{POD}{fault}"
