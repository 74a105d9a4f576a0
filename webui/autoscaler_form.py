"""The form for an autoscaler: a view onto its manifest. What the form does not show is kept."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from orchestrator.core.autoscaling.policy import Source
from orchestrator.manifests import quantities
from orchestrator.manifests.autoscaling import SCHEDULE
from orchestrator.manifests.deployment import merge_patch

Json = dict[str, Any]
_USUAL_CPU, _USUAL_WINDOW = 80, 300


class AutoscalerForm(forms.Form):
    """The fields people change most; everything else is for YAML and `apply`."""

    minimum = forms.IntegerField(
        label=_("At least"),
        min_value=0,
        max_value=5000,
        initial=1,
        help_text=_("0 with a metric of requests: none while no request comes"),
    )
    maximum = forms.IntegerField(label=_("At most"), min_value=1, max_value=5000, initial=5)
    cpu = forms.IntegerField(
        label=_("CPU target in percent"),
        min_value=1,
        max_value=100_000,
        required=False,
        initial=_USUAL_CPU,
        help_text=_("of what is requested, on average; empty: metrics stay as they are"),
    )
    requests = forms.IntegerField(
        label=_("Requests per second and replica"),
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text=_("those that come by an Ingress; empty: metrics stay as they are"),
    )
    window = forms.IntegerField(
        label=_("Scale down after seconds"),
        min_value=0,
        max_value=3600,
        initial=_USUAL_WINDOW,
        help_text=_("the highest need of so long counts"),
    )
    schedule = forms.CharField(
        label=_("Schedule"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("a line each, such as 30 7 * * MON-FRI for 10h in Europe/Berlin min 4 max 20"),
    )


def initial_of(spec: Json, schedule: str) -> Json:
    """Return what the form shows of a completed manifest."""
    shares = [_share(metric) for metric in spec["metrics"] if _share(metric) is not None]
    rates = [_rate(metric) for metric in spec["metrics"] if _rate(metric) is not None]
    return {
        "minimum": spec["minReplicas"],
        "maximum": spec["maxReplicas"],
        "cpu": shares[0] if shares else None,
        "requests": rates[0] if rates else None,
        "window": spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"],
        "schedule": schedule,
    }


def manifest_of(written: Json | None, cleaned: Json, *, namespace: str, target: str) -> Json:
    """Return the manifest with what was put in; a new one where there is none."""
    begun = written or {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": target, "namespace": namespace},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": target}},
    }
    spec: Json = {
        "minReplicas": cleaned["minimum"],
        "maxReplicas": cleaned["maximum"],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": cleaned["window"]}},
    }
    metrics = begun["spec"].get("metrics") or []
    if cleaned["cpu"] is not None:
        metrics = _with_cpu(metrics, cleaned["cpu"])
    if cleaned["requests"] is not None:
        metrics = _with_rate(metrics, cleaned["requests"])
    if metrics:
        spec["metrics"] = metrics
    note = cleaned["schedule"].strip() or None
    patch = {"spec": spec, "metadata": {"annotations": {SCHEDULE: note}}}
    changed: Json = merge_patch(begun, patch)
    if not changed["metadata"].get("annotations"):
        changed["metadata"].pop("annotations", None)
    return changed


def _share(metric: Json) -> int | None:
    resource = metric.get("resource") or {}
    share: int | None = resource.get("target", {}).get("averageUtilization")
    return share if resource.get("name") == "cpu" else None


def _with_cpu(metrics: list[Json], percent: int) -> list[Json]:
    share = {"type": "Utilization", "averageUtilization": percent}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": share}}
    others = [one for one in metrics if (one.get("resource") or {}).get("name") != "cpu"]
    return [cpu, *others]


def _rate(metric: Json) -> int | None:
    """Return a target of requests per second, None where it is none or no whole number."""
    pods = metric.get("pods") or {}
    if (pods.get("metric") or {}).get("name") != Source.REQUESTS_PER_SECOND:
        return None
    value = quantities.parse(pods["target"]["averageValue"])
    return int(value) if value.denominator == 1 else None


def _with_rate(metrics: list[Json], rate: int) -> list[Json]:
    name = Source.REQUESTS_PER_SECOND.value
    target = {"type": "AverageValue", "averageValue": str(rate)}
    requests = {"type": "Pods", "pods": {"metric": {"name": name}, "target": target}}
    others = [
        one for one in metrics if ((one.get("pods") or {}).get("metric") or {}).get("name") != name
    ]
    return [*others, requests]
