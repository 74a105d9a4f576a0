"""HorizontalPodAutoscalers: what they mean, their defaults, and what is wrong with some."""

from __future__ import annotations

from fractions import Fraction

import pytest

from orchestrator.core.autoscaling.policy import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Metric,
    PacePolicy,
    Policy,
    PolicyKind,
    Rules,
    Select,
    Source,
    TargetKind,
)
from orchestrator.manifests import autoscaler
from tests.unit.manifests.samples import faults, only

HEAD = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
"""
BARE = HEAD + "  maxReplicas: 5\n"
EVERYTHING = (
    HEAD
    + """\
  minReplicas: 2
  maxReplicas: 20
  metrics:
  - type: Resource
    resource: {name: memory, target: {type: AverageValue, averageValue: 64Mi}}
  - type: Resource
    resource: {name: cpu, target: {type: AverageValue, averageValue: 250m}}
  - type: Pods
    pods:
      metric: {name: requests_per_second}
      target: {type: AverageValue, averageValue: 12.5}
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 60
      selectPolicy: Min
      policies: [{type: Pods, value: 4, periodSeconds: 60}]
      tolerance: 50m
    scaleDown: {selectPolicy: Disabled}
"""
)
# What `kubectl get hpa -o yaml` prints.
FROM_KUBECTL = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  creationTimestamp: "2026-01-05T10:00:00Z"
  name: web
  namespace: default
  resourceVersion: "4711"
  uid: 0b6d4c1e-0000-4000-8000-000000000000
spec:
  maxReplicas: 10
  metrics:
  - resource:
      name: cpu
      target:
        averageUtilization: 50
        type: Utilization
    type: Resource
  minReplicas: 1
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: web
status:
  currentMetrics: null
  desiredReplicas: 0
"""


def value(source, target):
    return Metric(source=source, target_kind=TargetKind.AVERAGE_VALUE, target=target)


def test_the_defaults_are_those_of_kubernetes():
    assert autoscaler.policy_of(only(BARE).full) == Policy(
        minimum=1,
        maximum=5,
        metrics=(Metric(source=Source.CPU, target_kind=TargetKind.UTILIZATION, target=80),),
        up=DEFAULT_UP,
        down=DEFAULT_DOWN,
    )


def test_everything_written_is_understood():
    pace = PacePolicy(kind=PolicyKind.PODS, value=4, period_seconds=60)

    assert autoscaler.policy_of(only(EVERYTHING).full) == Policy(
        minimum=2,
        maximum=20,
        metrics=(
            value(Source.MEMORY, 64 << 20),
            value(Source.CPU, 250),
            value(Source.REQUESTS_PER_SECOND, 12_500),
        ),
        up=Rules(window_seconds=60, select=Select.MIN, policies=(pace,), tolerance=Fraction(1, 20)),
        down=Rules(window_seconds=300, select=Select.DISABLED, policies=DEFAULT_DOWN.policies),
    )


def test_what_kubectl_prints_is_taken():
    manifest = only(FROM_KUBECTL)

    assert autoscaler.target_of(manifest.full) == "web"
    assert "status" not in manifest.written


CPU = "  metrics:\n  - {type: Resource, resource: {name: cpu, target: %s}}\n"
FIRST = "spec.metrics[0]"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            BARE + "  minReplicas: 7\n",
            "document 1, line 7: spec.minReplicas: is 7, more than maxReplicas, which is 5",
            id="crossed-bounds",
        ),
        pytest.param(
            BARE + "  minReplicas: 0\n",
            "document 1, line 7: spec.minReplicas: is 0, but nothing tells when to come back; "
            "add a metric of requests_per_second or requests_in_flight, or write 1",
            id="scale-to-zero",
        ),
        pytest.param(
            HEAD, "document 1, line 4: spec.maxReplicas: is required", id="without-a-maximum"
        ),
        pytest.param(
            BARE + CPU % "{type: Utilization, averageUtilization: 0}",
            f"document 1, line 8: {FIRST}.resource.target.averageUtilization: is 0; "
            "it must be between 1 and 100000",
            id="a-share-of-0",
        ),
        pytest.param(
            BARE + CPU % "{type: AverageValue, averageValue: 0m}",
            f'document 1, line 8: {FIRST}.resource.target.averageValue: is "0m"; '
            "a target must be more than 0, and 1Ei at most",
            id="a-value-of-0",
        ),
        pytest.param(
            BARE + CPU % "{type: Utilization}",
            f"document 1, line 8: {FIRST}.resource.target.averageUtilization: is required with "
            'type "Utilization"',
            id="no-target",
        ),
        pytest.param(
            BARE + CPU % "{type: Utilization, averageUtilization: 5, averageValue: 5}",
            f"document 1, line 8: {FIRST}.resource.target.averageValue: does not go with type "
            '"Utilization"; remove it',
            id="two-targets",
        ),
        pytest.param(
            BARE + CPU % "{type: Utilization, averageUtilisation: 5}",
            f"document 1, line 8: {FIRST}.resource.target.averageUtilisation: unknown or "
            'unsupported field "averageUtilisation"; did you mean "averageUtilization"?',
            id="misspelt",
        ),
        pytest.param(
            BARE + "  metrics: [{type: Pods, pods: {metric: {name: qps}, "
            "target: {type: AverageValue, averageValue: 1}}}]\n",
            f'document 1, line 7: {FIRST}.pods.metric.name: "qps" is not supported here; use '
            "requests_per_second, requests_in_flight",
            id="an-unknown-metric",
        ),
        pytest.param(
            BARE + "  metrics: [{type: Resource, pods: {metric: {name: requests_in_flight}, "
            "target: {type: AverageValue, averageValue: 1}}}]\n",
            f"document 1, line 7: {FIRST}.pods: does not go with type Resource; remove it",
            id="type-and-field-differ",
        ),
        pytest.param(
            BARE + "  behavior: {scaleDown: {policies: "
            "[{type: Pods, value: 1, periodSeconds: 7200}]}}\n",
            "document 1, line 7: spec.behavior.scaleDown.policies[0].periodSeconds: is 7200; "
            "it must be between 1 and 1800",
            id="a-period-nobody-remembers",
        ),
        pytest.param(
            BARE + "  behavior: {scaleUp: {tolerance: -1}}\n",
            "document 1, line 7: spec.behavior.scaleUp.tolerance: is -1; a tolerance is between "
            "0 and 10, such as 0.1 or 50m",
            id="a-negative-tolerance",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, told):
    assert told in faults(text)


def test_a_schedule_is_read_line_by_line():
    note = """\
metadata:
  name: web
  annotations:
    kijabi.dev/schedule: |
      # at work
      0 8 * * MON-FRI for 10h  in Europe/Berlin min 4

      0 0 * * * for 5h max 2
"""
    text = BARE.replace("metadata: {name: web}\n", note)

    windows = autoscaler.policy_of(only(text).full).schedule

    assert [(w.zone, w.minimum, w.maximum) for w in windows] == [
        ("Europe/Berlin", 4, None),
        ("UTC", None, 2),
    ]


def test_a_line_that_is_no_window_is_named():
    text = BARE.replace("{name: web}", "{name: web, annotations: {kijabi.dev/schedule: noon}}", 1)

    (told,) = faults(text)

    assert told.startswith(
        'document 1, line 3: metadata.annotations["kijabi.dev/schedule"]: "noon" is no window; '
    )


def test_other_sources_of_metrics_say_what_to_use():
    told = faults(BARE + "  metrics: [{type: External, external: {}}]\n")

    assert any(
        line.endswith("external is not supported yet; use resource or pods") for line in told
    )


def test_one_metric_is_measured_once():
    twice = (CPU % "{type: Utilization, averageUtilization: 5}") + (
        CPU % "{type: Utilization, averageUtilization: 6}"
    ).removeprefix("  metrics:\n")

    (told,) = faults(BARE + twice)

    assert told.endswith("spec.metrics[1]: cpu is measured twice; keep one")
