"""Create and delete namespaces; `default` always exists."""

from __future__ import annotations

from django.db import transaction

from orchestrator.manifests.manifest import Manifest
from orchestrator.manifests.rules import OPEN
from orchestrator.models import Namespace
from orchestrator.operations import events, routing
from orchestrator.operations.events import Act, Change

DEFAULT = "default"


class NamespaceInUse(Exception):
    """The namespace cannot be deleted."""


def ensure(name: str, change: Change) -> bool:
    """Make sure a namespace exists; return whether it was made now.

    Raises:
        NamespaceInUse: it is being deleted.
    """
    with transaction.atomic():
        namespace, created = Namespace.objects.get_or_create(
            name=name, defaults={"created_at": change.now}
        )
        if namespace.deleting:
            raise NamespaceInUse(f'namespace "{name}" is being deleted; wait until it is gone')
        if created:
            _record(
                name, change, "create", reason="Created", message=f"namespace {name} is created"
            )
    return created


def declare(manifest: Manifest, change: Change) -> str:
    """Make a namespace as written; return what was done: created, configured or unchanged.

    Raises:
        NamespaceInUse: it is being deleted.
    """
    with transaction.atomic():
        created = ensure(manifest.name, change)
        row = Namespace.objects.select_for_update(no_key=True).get(name=manifest.name)
        wanted = (manifest.full["metadata"].get("annotations") or {}).get(OPEN) == "true"
        changed = row.open != wanted
        if changed:
            row.open = wanted
            row.save(update_fields=["open"])
            who = "every namespace" if wanted else "its own namespace only"
            message = f"replicas of namespace {row.name} may be reached directly from {who}"
            _record(row.name, change, "apply", reason="Configured", message=message)
            routing.owe_openness(now=change.now)
    if created:
        return "created"
    return "configured" if changed else "unchanged"


def delete(name: str, change: Change) -> bool:
    """Delete a namespace; return whether there was one.

    While the last of its deployments are still stopping it stays, closed to new ones.

    Raises:
        NamespaceInUse: it is `default`, or deployments live in it.
    """
    if name == DEFAULT:
        raise NamespaceInUse('namespace "default" always exists and cannot be deleted')
    with transaction.atomic():
        namespace = Namespace.objects.select_for_update(no_key=True).filter(name=name).first()
        if namespace is None:
            return False
        for word, living in (
            ("deployments", namespace.deployment_set.filter(deleting=False)),
            ("autoscalers", namespace.autoscaler_set.all()),
            ("ingresses", namespace.ingress_set.all()),
            ("services", namespace.service_set.all()),
            ("secrets", namespace.secret_set.all()),
        ):
            if names := list(living.values_list("name", flat=True)[:5]):
                raise NamespaceInUse(
                    f'namespace "{name}" still has {word} ({", ".join(names)}); delete them first'
                )
        namespace.deleting = True
        namespace.save(update_fields=["deleting"])
        _record(name, change, "delete", reason="Deleted", message=f"namespace {name} is deleted")
        remove_if_empty(name)
        if namespace.open:
            routing.owe_openness(now=change.now)
    return True


def remove_if_empty(name: str) -> None:
    """Remove a namespace that is being deleted once nothing is left in it."""
    Namespace.objects.filter(name=name, deleting=True, deployment=None).delete()


def _record(name: str, change: Change, verb: str, *, reason: str, message: str) -> None:
    event = events.about_namespace(name, reason=reason, message=message, now=change.now)
    events.done_by(change, event, Act(verb=verb, kind="namespace", name=name)).save()
