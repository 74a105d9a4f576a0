"""Who owns a deployment's number of replicas: its manifest, or an autoscaler.

The declared number and the autoscaled one are kept apart, so applying a manifest never fights the
autoscaler. 0 in the manifest stops everything and switches the autoscaler off, as in Kubernetes;
without that, an autoscaled number of 0 means asleep: the next request brings a replica.
"""

from __future__ import annotations

from typing import Any

from orchestrator.core.wording import count
from orchestrator.manifests import deployment as manifests
from orchestrator.models import Autoscaler, Deployment

Json = dict[str, Any]


class OwnedByAutoscaler(Exception):
    """The number of replicas is not a person's to set."""

    def __init__(self, deployment: Deployment) -> None:
        owner = deployment.scaled_by
        super().__init__(
            f'the autoscaler "{owner}" owns the number of replicas of {deployment}; change its '
            "bounds, delete it, or scale to 0 to switch it off"
        )


def owner(namespace: str, name: str, replicas: int) -> Json:
    """Return the columns that say who owns the number of a deployment that is created now."""
    found = Autoscaler.objects.filter(namespace_id=namespace, target=name).first()
    if found is None:
        return {}
    return {"scaled_by": found.name, "autoscaled": max(1, replicas)}


def adopt(deployment: Deployment, declared: int, *, before: int) -> None:
    """Bring the number in force in line with what a changed manifest declares, and did `before`."""
    if not deployment.scaled_by:
        deployment.replicas = declared
        return
    if declared and not before:
        # It was switched off; the autoscaler goes on from the number it is switched on with.
        deployment.autoscaled = declared
    deployment.replicas = (deployment.autoscaled or 0) if declared else 0


def scaled(deployment: Deployment, replicas: int) -> Json:
    """Return the manifest with the number of replicas that a person asks for.

    Raises:
        OwnedByAutoscaler: an autoscaler owns the number, and is not switched off or on by this.
    """
    if deployment.scaled_by and replicas and not _is_off(deployment):
        raise OwnedByAutoscaler(deployment)
    return manifests.with_replicas(deployment.manifest, replicas)


def autoscale(deployment: Deployment, replicas: int) -> None:
    """Set the number of the locked deployment to what its autoscaler calls for."""
    deployment.autoscaled = deployment.replicas = replicas


def take_over(deployment: Deployment, autoscaler: str) -> None:
    """Give the locked deployment's number to an autoscaler; for now it stays as it is."""
    if not deployment.scaled_by:
        deployment.autoscaled = max(1, deployment.replicas)
    deployment.scaled_by = autoscaler


def hand_back(deployment: Deployment) -> None:
    """Give the number of the locked deployment back to its manifest, which then declares it.

    One that is asleep gets a replica: nobody would wake it.
    """
    if not _is_off(deployment):
        deployment.replicas = max(1, deployment.replicas)
        deployment.manifest = manifests.with_replicas(deployment.manifest, deployment.replicas)
    deployment.scaled_by, deployment.autoscaled = "", None


def _is_off(deployment: Deployment) -> bool:
    """Tell whether somebody wants no replica, so that its autoscaler does nothing."""
    return manifests.declared_replicas(deployment.manifest) == 0


def note(deployment: Deployment, written: Json) -> str:
    """Return what is to be said to whoever applies a manifest that declares a number."""
    declared = manifests.declared_replicas(written)
    if not deployment.scaled_by or not declared:
        return ""
    return (
        f'spec.replicas is {declared}, but the autoscaler "{deployment.scaled_by}" owns the number '
        f"({count(deployment.replicas, 'replica')} now); leave spec.replicas out of the manifest"
    )
