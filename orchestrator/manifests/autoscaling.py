"""The fields of a HorizontalPodAutoscaler, and the rules that concern several of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from orchestrator.core.autoscaling import schedule
from orchestrator.core.autoscaling.policy import (
    LONGEST_PERIOD_SECONDS,
    LONGEST_WINDOW_SECONDS,
    PolicyKind,
    Select,
    Source,
    TargetKind,
)
from orchestrator.core.autoscaling.schedule import Window
from orchestrator.core.spec import MAX_REPLICAS
from orchestrator.manifests import quantities
from orchestrator.manifests.fields import (
    Anything,
    Choice,
    Field,
    Many,
    Number,
    Struct,
    optional,
    required,
)
from orchestrator.manifests.problems import Findings, Path, quoted, shown
from orchestrator.manifests.schema import NAME, metadata

Json = dict[str, Any]

SCHEDULE = "kijabi.dev/schedule"
MOST_WINDOWS = 32
HIGHEST_SHARE = 100_000
MOST_AMOUNT = 1 << 60
WIDEST_TOLERANCE = 10
RESOURCES = tuple(source.value for source in Source if source.is_resource)
REQUESTS = tuple(source.value for source in Source if not source.is_resource)
# Kubernetes' default, for autoscalers that name no metric.
DEFAULT_METRICS = [
    {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    }
]
_FIELD_OF_TYPE = {"Resource": "resource", "Pods": "pods"}
_IGNORED = Field(kind=Anything(), ignored=True)


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity within bounds, whatever it measures."""

    is_right: Callable[[Fraction], bool]
    rule: str
    label: str = "quantity (`500m`, `64Mi`, `100`)"

    def complete(self, value: Any, path: Path, findings: Findings) -> Any:
        """Check that it can be read and is in range."""
        try:
            if not self.is_right(quantities.parse(value)):
                findings.add(path, f"is {shown(value)}; {self.rule}")
        except ValueError as error:
            findings.add(path, str(error))
        return value


_AVERAGE = Amount(
    lambda amount: 0 < amount <= MOST_AMOUNT, "a target must be more than 0, and 1Ei at most"
)
_TOLERANCE = Amount(
    lambda amount: 0 <= amount <= WIDEST_TOLERANCE,
    f"a tolerance is between 0 and {WIDEST_TOLERANCE}, such as 0.1 or 50m",
    "quantity (`0.1`, `50m`)",
)


def _target(*kinds: str) -> Struct:
    fields = {
        "type": required(Choice(kinds), "how the target is given"),
        "averageValue": optional(_AVERAGE, "on average over the replicas"),
    }
    if TargetKind.UTILIZATION in kinds:
        share = Number(1, HIGHEST_SHARE)
        fields["averageUtilization"] = optional(share, "percent of what is requested")
    return Struct(fields)


_METRIC = Struct(
    {
        "type": required(Choice(tuple(_FIELD_OF_TYPE)), "which of the two follows"),
        "resource": optional(
            Struct(
                {
                    "name": required(Choice(RESOURCES), "what nodes measure"),
                    "target": required(_target(*TargetKind), "what it should be"),
                }
            ),
            "what replicas use of cpu or memory",
        ),
        "pods": optional(
            Struct(
                {
                    "metric": required(
                        Struct({"name": required(Choice(REQUESTS), "what gateways measure")}),
                        "built-in metrics, of requests that come by an Ingress",
                    ),
                    "target": required(_target(TargetKind.AVERAGE_VALUE), "what it should be"),
                }
            ),
            "what replicas get of requests",
        ),
    }
)


def _rules(window: int) -> Struct:
    pace = Struct(
        {
            "type": required(Choice(tuple(PolicyKind)), "what is counted"),
            "value": required(Number(1), "so many at most"),
            "periodSeconds": required(Number(1, LONGEST_PERIOD_SECONDS), "within so long"),
        }
    )
    return Struct(
        {
            "stabilizationWindowSeconds": optional(
                Number(0, LONGEST_WINDOW_SECONDS), "what was called for lately counts, too", window
            ),
            "selectPolicy": optional(
                Choice(tuple(Select)), "which of several policies counts", Select.MAX.value
            ),
            "policies": optional(
                Many(pace, least=1, most=32), "how fast; by default as in Kubernetes"
            ),
            "tolerance": optional(_TOLERANCE, "smaller differences change nothing", "0.1"),
        }
    )


AUTOSCALER = Struct(
    {
        "apiVersion": required(Choice(("autoscaling/v2",)), "version of the API"),
        "kind": required(Choice(("HorizontalPodAutoscaler",)), "kind of object"),
        "metadata": required(
            metadata(
                "notes; `kijabi.dev/schedule`: a line for each time with bounds of its own, "
                f"such as `{schedule.EXAMPLE}`"
            ),
            "who it is",
        ),
        "spec": required(
            Struct(
                {
                    "scaleTargetRef": required(
                        Struct(
                            {
                                "apiVersion": optional(Choice(("apps/v1",)), "its API", "apps/v1"),
                                "kind": required(Choice(("Deployment",)), "its kind"),
                                "name": required(NAME, "its name, in the same namespace"),
                            }
                        ),
                        "whose number of replicas it owns",
                    ),
                    "minReplicas": optional(
                        Number(0, MAX_REPLICAS),
                        "never fewer; 0 (with a metric of requests): none while no request comes",
                        1,
                    ),
                    "maxReplicas": required(Number(1, MAX_REPLICAS), "never more"),
                    "metrics": optional(
                        Many(_METRIC, least=1, most=16),
                        "the one that calls for most counts; by default cpu at 80 %",
                        DEFAULT_METRICS,
                    ),
                    "behavior": optional(
                        Struct(
                            {
                                "scaleUp": optional(_rules(0), "at once by default", {}),
                                "scaleDown": optional(_rules(300), "after 5 minutes", {}),
                            }
                        ),
                        "how soon and how fast",
                        {},
                    ),
                }
            ),
            "what is wanted",
        ),
        "status": _IGNORED,
    }
)


def complete(full: Json, path: Path, findings: Findings) -> None:
    """Check a completed manifest as a whole."""
    spec = full["spec"]
    if spec["minReplicas"] > spec["maxReplicas"]:
        told = f"is {spec['minReplicas']}, more than maxReplicas, which is {spec['maxReplicas']}"
        findings.add((*path, "spec", "minReplicas"), told)
    windows = _schedule(full["metadata"].get("annotations") or {}, path, findings)
    _may_sleep(spec, windows, path, findings)
    seen: set[str] = set()
    for index, metric in enumerate(spec["metrics"]):
        place = (*path, "spec", "metrics", index)
        _metric(metric, place, findings)
        name = name_of(metric)
        if name in seen:
            findings.add(place, f"{name} is measured twice; keep one")
        seen.add(name)


def schedule_lines(annotations: Mapping[str, str]) -> list[str]:
    """Return the lines of a schedule; empty ones and those that begin with # say nothing."""
    lines = (line.strip() for line in annotations.get(SCHEDULE, "").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _may_sleep(spec: Json, windows: list[Window], path: Path, findings: Findings) -> None:
    """Refuse to come down to 0 where nothing would tell when to come back."""
    if any(name_of(metric) in REQUESTS for metric in spec["metrics"]):
        return
    why = f"nothing tells when to come back; add a metric of {' or '.join(REQUESTS)}, or write 1"
    if spec["minReplicas"] == 0:
        findings.add((*path, "spec", "minReplicas"), f"is 0, but {why}")
    for window in windows:
        if window.minimum == 0:
            place = (*path, "metadata", "annotations", SCHEDULE)
            findings.add(place, f"{quoted(window.text)} has min 0, but {why}")


def _schedule(annotations: Mapping[str, str], path: Path, findings: Findings) -> list[Window]:
    place = (*path, "metadata", "annotations", SCHEDULE)
    lines = schedule_lines(annotations)
    if len(lines) > MOST_WINDOWS:
        findings.add(place, f"has {len(lines)} windows; at most {MOST_WINDOWS} are accepted")
        return []
    found = []
    for line in lines:
        try:
            found.append(schedule.parse(line))
        except ValueError as error:
            findings.add(place, f"{quoted(line)} {error}")
    return found


def name_of(metric: Mapping[str, Any]) -> str:
    """Return the name of what a metric measures; empty where it does not say."""
    if metric["type"] == "Resource":
        return str((metric.get("resource") or {}).get("name", ""))
    return str(((metric.get("pods") or {}).get("metric") or {}).get("name", ""))


def _metric(metric: Mapping[str, Any], path: Path, findings: Findings) -> None:
    wanted = _FIELD_OF_TYPE[metric["type"]]
    for name in _FIELD_OF_TYPE.values():
        if name != wanted and name in metric:
            findings.add((*path, name), f"does not go with type {metric['type']}; remove it")
    if wanted not in metric:
        findings.add((*path, wanted), f"is required with type {metric['type']}")
        return
    _check_target(metric[wanted]["target"], (*path, wanted, "target"), findings)


def _check_target(target: Mapping[str, Any], path: Path, findings: Findings) -> None:
    kind = target["type"]
    wanted, other = "averageValue", "averageUtilization"
    if kind == TargetKind.UTILIZATION:
        wanted, other = other, wanted
    if wanted not in target:
        findings.add((*path, wanted), f"is required with type {quoted(kind)}")
    if other in target:
        findings.add((*path, other), f"does not go with type {quoted(kind)}; remove it")
