"""Create, change and delete autoscalers; each owns the number of replicas of one deployment.

Locks go deployment → autoscaler, as everywhere: the deployment's is the first of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from orchestrator.manifests import autoscaler as meaning
from orchestrator.manifests import deployment as manifests
from orchestrator.manifests.autoscaling import AUTOSCALER
from orchestrator.manifests.manifest import Manifest, from_object
from orchestrator.models import Autoscaler, Deployment, Event, Namespace
from orchestrator.operations import announce, events, owing, replica_counts, routing
from orchestrator.operations.assignments import new_uid
from orchestrator.operations.deployments import NamespaceNotFound, Saved
from orchestrator.operations.events import Act, Change


class AutoscalerNotFound(LookupError):
    """No autoscaler of that name."""

    def __init__(self, namespace: str, name: str) -> None:
        super().__init__(f'autoscaler "{name}" does not exist in namespace "{namespace}"')


class AutoscalerExists(Exception):
    """The name is taken, or somebody else owns the number already."""


class AutoscalerChanged(Exception):
    """The autoscaler was changed since the caller read it."""

    def __init__(self, row: Autoscaler, expected: int) -> None:
        super().__init__(
            f"{row} is at generation {row.generation}, not {expected}: somebody changed it since "
            "you read it; read it again and repeat your change"
        )


class CannotRename(Exception):
    """A change would give the autoscaler another name."""


def create(manifest: Manifest, change: Change) -> Autoscaler:
    """Create an autoscaler.

    Raises:
        AutoscalerExists: the name is taken, or its deployment has one already.
        NamespaceNotFound: there is no such namespace.
    """
    try:
        with transaction.atomic():
            if _find(manifest.namespace, manifest.name) is not None:
                raise AutoscalerExists(
                    f'autoscaler "{manifest.name}" already exists in namespace '
                    f'"{manifest.namespace}"; use apply, PUT or PATCH to change it'
                )
            return _create(manifest, change, "create")
    except IntegrityError:
        raise AutoscalerExists(f"autoscaler {manifest.name} was just created") from None


def replace(manifest: Manifest, change: Change, *, generation: int | None = None) -> Autoscaler:
    """Replace an autoscaler's manifest, or create it when there is none (PUT).

    Raises:
        AutoscalerNotFound: a generation is given, and there is none.
        AutoscalerChanged: it is no longer at the given generation.
    """
    with transaction.atomic():
        row = _find(manifest.namespace, manifest.name)
        if row is None:
            if generation is not None:
                raise AutoscalerNotFound(manifest.namespace, manifest.name)
            return _create(manifest, change, "replace")
        _check_generation(row, generation)
        _save(row, manifest, change, "replace")
        return row


def patch(
    namespace: str, name: str, merge: Mapping[str, Any], change: Change, *, generation: int | None
) -> Autoscaler:
    """Apply a JSON merge patch (RFC 7396) to the manifest as it was written.

    Raises:
        ManifestInvalid: the result is not a valid manifest.
        CannotRename: it has another name.
    """
    with transaction.atomic():
        row = _lock(namespace, name)
        _check_generation(row, generation)
        manifest = from_object(manifests.merge_patch(row.manifest, dict(merge)))
        if (manifest.kind, manifest.namespace, manifest.name) != (
            "HorizontalPodAutoscaler",
            namespace,
            name,
        ):
            raise CannotRename(f"{row} cannot be renamed; create another and delete this one")
        _save(row, manifest, change, "patch")
        return row


def delete(namespace: str, name: str, change: Change, *, generation: int | None = None) -> None:
    """Delete an autoscaler; the number of replicas stays, and is the manifest's from now on.

    Raises:
        AutoscalerNotFound: there is none.
    """
    with transaction.atomic():
        row = _lock(namespace, name)
        _check_generation(row, generation)
        deployment = _target(row)
        if deployment is not None and deployment.scaled_by == row.name:
            _hand_back(deployment, change)
        _owe_routes(row, change)
        message = f"autoscaler {row} is deleted; the number of replicas of {row.target} stays"
        _record(row, change, Act(verb="delete", kind="autoscaler", name=name), "Deleted", message)
        row.delete()


def save_manifest(manifest: Manifest, change: Change) -> Saved:
    """Create or change one autoscaler so that it is as written (apply), in a transaction."""
    row = _find(manifest.namespace, manifest.name)
    before = row.manifest if row is not None else None
    if row is None:
        row, action = _create(manifest, change, "apply"), "created"
    else:
        action = "configured" if _save(row, manifest, change, "apply") else "unchanged"
    return _saved(row, action, diff=manifests.diff_lines(before, manifest.written, AUTOSCALER))


def remove(manifest: Manifest, change: Change) -> Saved:
    """Delete the autoscaler a manifest names, if there is one, in a transaction."""
    row = _find(manifest.namespace, manifest.name)
    if row is not None:
        delete(manifest.namespace, manifest.name, change)
    return Saved(
        kind=manifest.kind,
        namespace=manifest.namespace,
        name=manifest.name,
        action="absent" if row is None else "deleted",
    )


def _saved(row: Autoscaler, action: str, *, diff: str) -> Saved:
    known = Deployment.objects.filter(namespace_id=row.namespace_id, name=row.target).first()
    note = f'there is no deployment "{row.target}" yet' if known is None else ""
    return Saved(
        kind="HorizontalPodAutoscaler",
        namespace=row.namespace_id,
        name=row.name,
        action=action,
        generation=row.generation,
        diff=diff,
        note=note or (replica_counts.note(known, known.manifest) if known else ""),
    )


def _find(namespace: str, name: str) -> Autoscaler | None:
    """Return the row, locked, after the deployment it scales."""
    rows = Autoscaler.objects.filter(namespace_id=namespace, name=name)
    known = rows.first()
    if known is None:
        return None
    _target(known)
    return rows.select_for_update(of=("self",), no_key=True).first()


def _lock(namespace: str, name: str) -> Autoscaler:
    row = _find(namespace, name)
    if row is None:
        raise AutoscalerNotFound(namespace, name)
    return row


def _target(row: Autoscaler) -> Deployment | None:
    rows = Deployment.objects.select_for_update(of=("self",), no_key=True)
    return rows.filter(namespace_id=row.namespace_id, name=row.target).first()


def _create(manifest: Manifest, change: Change, verb: str) -> Autoscaler:
    if not Namespace.objects.filter(name=manifest.namespace, deleting=False).exists():
        raise NamespaceNotFound(manifest.namespace)
    row = Autoscaler(
        uid=new_uid(),
        namespace_id=manifest.namespace,
        name=manifest.name,
        target=meaning.target_of(manifest.full),
        manifest=manifest.written,
        created_at=change.now,
        changed_at=change.now,
    )
    row.may_sleep = meaning.policy_of(manifest.full).may_sleep
    _refuse_second_owner(row)
    row.save()
    _own(row)
    _owe_routes(row, change)
    bounds = _bounds(manifest)
    act = Act(verb=verb, kind="autoscaler", name=row.name, after=bounds)
    message = f"autoscaler {row} is created: it keeps {row.target} at {bounds}"
    _record(row, change, act, "Created", message)
    return row


def _save(row: Autoscaler, manifest: Manifest, change: Change, verb: str) -> bool:
    """Make the locked row say what the manifest says; return whether anything changed."""
    if manifest.written == row.manifest:
        return False
    before = from_object(row.manifest)
    row.manifest = manifest.written
    if manifest.full == before.full:
        # A default written out changes nothing, but it is what the user reads back.
        row.save(update_fields=["manifest"])
        return True
    _move(row, meaning.target_of(manifest.full), change)
    _owe_routes(row, change)
    row.may_sleep = meaning.policy_of(manifest.full).may_sleep
    _owe_routes(row, change)
    row.generation += 1
    row.changed_at = change.now
    row.save()
    act = Act(
        verb=verb, kind="autoscaler", name=row.name, before=_bounds(before), after=_bounds(manifest)
    )
    summary = manifests.summarise_change(before.full, manifest.full)
    _record(row, change, act, "Changed", f"autoscaler {row}: {summary}")
    return True


def _hand_back(deployment: Deployment, change: Change) -> None:
    """Give the number of the locked deployment back to its manifest; wake it if it is asleep."""
    before = deployment.replicas
    replica_counts.hand_back(deployment)
    if deployment.replicas == before:
        deployment.save()
        return
    event = events.about_deployment(
        deployment,
        reason="Scaled",
        message=f"{deployment} was asleep and has no autoscaler any more: 1 replica starts",
        now=change.now,
        cause_id=None,
    )
    owing.owe_a_pass(deployment, event)


def _owe_routes(row: Autoscaler, change: Change) -> None:
    """Have requests wait for whom this autoscaler lets sleep, or do so no longer."""
    if row.may_sleep:
        routing.owe("autoscaler", str(row.namespace_id), row.name, now=change.now)


def _move(row: Autoscaler, target: str, change: Change) -> None:
    """Point the autoscaler at another deployment, if it is another."""
    if target == row.target:
        return
    left = _target(row)
    row.target = target
    _refuse_second_owner(row)
    if left is not None:
        _hand_back(left, change)
    _own(row)


def _own(row: Autoscaler) -> None:
    deployment = _target(row)
    if deployment is not None:
        replica_counts.take_over(deployment, row.name)
        deployment.save()


def _refuse_second_owner(row: Autoscaler) -> None:
    others = Autoscaler.objects.filter(namespace_id=row.namespace_id, target=row.target)
    other = others.exclude(pk=row.pk).first()
    if other is not None:
        raise AutoscalerExists(
            f'deployment "{row.target}" is scaled by the autoscaler "{other.name}" already; '
            "change that one, or delete it first"
        )


def _check_generation(row: Autoscaler, expected: int | None) -> None:
    if expected is not None and row.generation != expected:
        raise AutoscalerChanged(row, expected)


def _bounds(manifest: Manifest) -> str:
    spec = manifest.full["spec"]
    return f"{spec['minReplicas']} to {spec['maxReplicas']} replicas"


def _record(row: Autoscaler, change: Change, act: Act, reason: str, message: str) -> None:
    event = Event(
        at=change.now,
        reason=reason,
        message=message,
        namespace=row.namespace_id,
        deployment=row.target,
    )
    events.done_by(change, event, act).save()
    announce.changed(
        announce.deployment_topic(row.namespace_id, row.target),
        announce.autoscaler_topic(row.namespace_id, row.name),
    )
