"""The form for an autoscaler: a view onto its manifest. What the form does not show is kept."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from orchestrator.manifests.autoscaling import SCHEDULE
from orchestrator.manifests.deployment import merge_patch

Json = dict[str, Any]
_USUAL_CPU, _USUAL_WINDOW = 80, 300


class AutoscalerForm(forms.Form):
    """The fields people change most; everything else is for YAML and `apply`."""

    minimum = forms.IntegerField(label=_("At least"), min_value=1, max_value=5000, initial=1)
    maximum = forms.IntegerField(label=_("At most"), min_value=1, max_value=5000, initial=5)
    cpu = forms.IntegerField(
        label=_("CPU target in percent"),
        min_value=1,
        max_value=100_000,
        required=False,
        initial=_USUAL_CPU,
        help_text=_("of what is requested, on average; empty: metrics stay as they are"),
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
    return {
        "minimum": spec["minReplicas"],
        "maximum": spec["maxReplicas"],
        "cpu": shares[0] if shares else None,
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
    if cleaned["cpu"] is not None:
        spec["metrics"] = _with_cpu(begun["spec"].get("metrics") or [], cleaned["cpu"])
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
