"""Every kind of object that a manifest can be: its fields, and the rules between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.manifests import autoscaling, rules, schema, traffic
from orchestrator.manifests.fields import Struct
from orchestrator.manifests.problems import Findings, Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestKind:
    """One kind: `complete` checks the whole and fills in what depends on other fields."""

    schema: Struct
    complete: Callable[[dict[str, Any], Path, Findings], None] | None = None
    # What depends on other fields is only looked at when each is right by itself.
    only_clean: bool = True


KINDS = {
    "Deployment": ManifestKind(schema=schema.DEPLOYMENT, complete=rules.complete, only_clean=False),
    "Namespace": ManifestKind(schema=schema.NAMESPACE, complete=rules.complete_namespace),
    "HorizontalPodAutoscaler": ManifestKind(
        schema=autoscaling.AUTOSCALER, complete=autoscaling.complete
    ),
    "Service": ManifestKind(schema=traffic.SERVICE, complete=traffic.complete_service),
    "Ingress": ManifestKind(schema=traffic.INGRESS, complete=traffic.complete_ingress),
    "Secret": ManifestKind(schema=traffic.SECRET, complete=traffic.complete_secret),
}
