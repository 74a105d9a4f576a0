"""Change desired state: apply, scale, pause, resume, restart, roll back, delete.

Each public function is one transaction: manifest, revision, event and the note that a pass is
owed are saved together, and the nudge leaves when they are committed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from orchestrator.core.wording import count
from orchestrator.manifests import deployment as manifests
from orchestrator.manifests.manifest import Manifest, from_object
from orchestrator.models import Deployment, Namespace, Stored
from orchestrator.operations import events, owing, replica_counts, revisions
from orchestrator.operations.assignments import new_uid
from orchestrator.operations.events import Act, Change

Json = dict[str, Any]


class NamespaceNotFound(LookupError):
    """No namespace of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'namespace "{name}" does not exist; create it by applying a manifest of kind Namespace'
        )


class DeploymentNotFound(LookupError):
    """No deployment of that name."""

    def __init__(self, namespace: str, name: str) -> None:
        super().__init__(f'deployment "{name}" does not exist in namespace "{namespace}"')


class DeploymentExists(Exception):
    """A deployment of that name exists already."""

    def __init__(self, namespace: str, name: str) -> None:
        super().__init__(
            f'deployment "{name}" already exists in namespace "{namespace}"; '
            "use apply, PUT or PATCH to change it"
        )


class GenerationConflict(Exception):
    """What is to be changed was changed since the caller read it."""

    def __init__(self, row: Deployment | Stored, expected: int) -> None:
        super().__init__(
            f"{row} is at generation {row.generation}, not {expected}: somebody "
            "changed it since you read it; read it again and repeat your change"
        )


class DeploymentBusy(Exception):
    """The deployment is in a state that does not allow the change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What an operation did to one object, and what it could not do (`note`).

    `diff` is a unified diff of the YAML forms.
    """

    kind: str
    namespace: str
    name: str
    action: str
    generation: int = 0
    diff: str = ""
    note: str = ""


def create(manifest: Manifest, change: Change) -> Deployment:
    """Create a deployment.

    Raises:
        DeploymentExists: the name is taken.
        NamespaceNotFound: there is no such namespace.
    """
    try:
        with transaction.atomic():
            if _find(manifest.namespace, manifest.name) is not None:
                raise DeploymentExists(manifest.namespace, manifest.name)
            return _create(manifest, change, "create")
    except IntegrityError:
        raise DeploymentExists(manifest.namespace, manifest.name) from None


def replace(manifest: Manifest, change: Change, *, generation: int | None = None) -> Deployment:
    """Replace a deployment's manifest, or create it when there is none (PUT).

    Raises:
        DeploymentNotFound: a generation is given, and there is no deployment.
        GenerationConflict: it is no longer at the given generation.
    """
    with transaction.atomic():
        found = _find(manifest.namespace, manifest.name)
        if found is None:
            if generation is not None:
                raise DeploymentNotFound(manifest.namespace, manifest.name)
            return _create(manifest, change, "replace")
        _check_generation(found, generation)
        _save(found, manifest, change, "replace")
        return found


def patch(
    namespace: str, name: str, merge: Mapping[str, Any], change: Change, *, generation: int | None
) -> Deployment:
    """Apply a JSON merge patch (RFC 7396) to the manifest as it was written.

    Raises:
        ManifestInvalid: the result is not a valid manifest.
    """
    return _rewrite(
        namespace,
        name,
        change,
        "patch",
        lambda row: manifests.merge_patch(row.manifest, dict(merge)),
        generation=generation,
    )


def scale(
    namespace: str, name: str, replicas: int, change: Change, *, generation: int | None = None
) -> Deployment:
    """Set how many replicas are wanted.

    Raises:
        OwnedByAutoscaler: an autoscaler owns the number; only 0 switches it off.
    """
    return _rewrite(
        namespace,
        name,
        change,
        "scale",
        lambda row: replica_counts.scaled(row, replicas),
        generation=generation,
    )


def pause(
    namespace: str, name: str, change: Change, *, generation: int | None = None
) -> Deployment:
    """Stop moving to the current revision; scaling and repair go on."""
    return _rewrite(
        namespace,
        name,
        change,
        "pause",
        lambda row: manifests.with_paused(row.manifest, paused=True),
        generation=generation,
    )


def resume(
    namespace: str, name: str, change: Change, *, generation: int | None = None
) -> Deployment:
    """Go on with a paused rollout; its deadline starts anew."""
    return _rewrite(
        namespace,
        name,
        change,
        "resume",
        lambda row: manifests.with_paused(row.manifest, paused=False),
        generation=generation,
    )


def restart(
    namespace: str, name: str, change: Change, *, generation: int | None = None
) -> Deployment:
    """Replace every replica by a new one of the same template, as a rollout."""
    stamp = change.now.isoformat(timespec="microseconds")
    return _rewrite(
        namespace,
        name,
        change,
        "restart",
        lambda row: manifests.with_restart(row.manifest, stamp),
        generation=generation,
    )


def rollback(
    namespace: str,
    name: str,
    change: Change,
    *,
    to_revision: int | None = None,
    generation: int | None = None,
    resume: bool = False,
) -> Deployment:
    """Return to an earlier template, as a new revision; by default the latest that completed.

    `resume` lets a paused deployment go on as well: both happen or neither.

    Raises:
        DeploymentBusy: it is paused, and stays so.
        RevisionNotFound: there is nothing to go back to.
    """
    with transaction.atomic():
        deployment = lock(namespace, name)
        _check_generation(deployment, generation)
        if deployment.paused and resume:
            resumed = manifests.with_paused(deployment.manifest, paused=False)
            _save(deployment, from_object(resumed), change, "resume")
        if deployment.paused:
            raise DeploymentBusy(f"{deployment} is paused; resume it before rolling back")
        roll_back(deployment, change, to_revision=to_revision)
        return deployment


def roll_back(deployment: Deployment, change: Change, *, to_revision: int | None) -> None:
    """Roll a locked deployment back, inside the caller's transaction."""
    target = revisions.rollback_target(deployment, to_revision)
    written = manifests.with_template(deployment.manifest, target.template)
    reason = change.reason or f"rolled back to revision {target.number}"
    stamped = dataclasses.replace(change, reason=reason)
    _save(deployment, from_object(written), stamped, "rollback")


def delete(
    namespace: str, name: str, change: Change, *, generation: int | None = None
) -> Deployment:
    """Stop every replica, then forget the deployment; its events stay."""
    with transaction.atomic():
        deployment = lock(namespace, name)
        _check_generation(deployment, generation)
        if not deployment.deleting:
            deployment.deleting = True
            deployment.generation += 1
            act = _act(deployment, "delete")
            _unsettle(deployment, change, act, reason="Deleted", message=f"{deployment} is deleted")
        return deployment


def lock(namespace: str, name: str) -> Deployment:
    """Return the deployment's row, locked until the transaction ends.

    Raises:
        DeploymentNotFound: there is none.
    """
    found = _find(namespace, name)
    if found is None:
        raise DeploymentNotFound(namespace, name)
    return found


def save_manifest(manifest: Manifest, change: Change) -> Saved:
    """Create or change one deployment so that it is as written (apply), in a transaction."""
    found = _find(manifest.namespace, manifest.name)
    if found is None:
        row, action = _create(manifest, change, "apply"), "created"
        diff = manifests.diff_lines(None, manifest.written)
    else:
        row = found
        kept = manifests.keeping_restart(found.manifest, manifest.written)
        manifest = manifest if kept is manifest.written else from_object(kept)
        # With defaults on both sides: one that is written out, or no longer, is no change.
        diff = manifests.diff_lines(manifests.with_defaults(found.manifest), manifest.full)
        action = "configured" if _save(found, manifest, change, "apply") else "unchanged"
    return Saved(
        kind="Deployment",
        namespace=row.namespace_id,
        name=row.name,
        action=action,
        generation=row.generation,
        diff=diff,
        note=replica_counts.note(row, manifest.written),
    )


def _find(namespace: str, name: str) -> Deployment | None:
    rows = Deployment.objects.select_for_update(no_key=True)
    return rows.filter(namespace_id=namespace, name=name).first()


def _create(manifest: Manifest, change: Change, verb: str) -> Deployment:
    if not Namespace.objects.filter(name=manifest.namespace, deleting=False).exists():
        raise NamespaceNotFound(manifest.namespace)
    spec = manifests.spec_of(manifest.full)
    deployment = Deployment.objects.create(
        uid=new_uid(),
        namespace_id=manifest.namespace,
        name=manifest.name,
        manifest=manifest.written,
        replicas=spec.replicas,
        **replica_counts.owner(manifest.namespace, manifest.name, spec.replicas),
        paused=spec.paused,
        progressed_at=change.now,
        created_at=change.now,
        changed_at=change.now,
    )
    revisions.adopt_template(deployment, manifest.full, change, is_rollback=False)
    _unsettle(
        deployment,
        change,
        _act(deployment, verb, after=count(spec.replicas, "replica")),
        reason="Created",
        message=f"{deployment} is created with {count(spec.replicas, 'replica')}",
    )
    return deployment


def _rewrite(
    namespace: str,
    name: str,
    change: Change,
    verb: str,
    rewrite: Callable[[Deployment], Json],
    *,
    generation: int | None = None,
) -> Deployment:
    with transaction.atomic():
        deployment = lock(namespace, name)
        _check_generation(deployment, generation)
        _save(deployment, from_object(rewrite(deployment)), change, verb)
        return deployment


def _save(deployment: Deployment, manifest: Manifest, change: Change, verb: str) -> bool:
    """Make the locked row say what the manifest says; return whether it wants anything else."""
    if deployment.deleting:
        raise DeploymentBusy(f"{deployment} is being deleted; wait until it is gone")
    if (manifest.namespace, manifest.name) != (deployment.namespace_id, deployment.name):
        raise DeploymentBusy(f"{deployment} cannot be renamed; create another and delete this one")
    if manifest.written == deployment.manifest:
        return False
    before = manifests.with_defaults(deployment.manifest)
    deployment.manifest = manifest.written
    if manifest.full == before:
        # A default written out is no change to what runs, but it is what the user reads back.
        deployment.save(update_fields=["manifest"])
        return False
    spec = manifests.spec_of(manifest.full)
    resumed = deployment.paused and not spec.paused
    was = _facts(deployment)
    replica_counts.adopt(deployment, spec.replicas, before=int(before["spec"]["replicas"]))
    deployment.paused = spec.paused
    deployment.generation += 1
    deployment.changed_at = change.now
    if resumed:
        deployment.progressed_at = change.now
    revisions.adopt_template(deployment, manifest.full, change, is_rollback=verb == "rollback")
    message = f"{deployment}: {manifests.summarise_change(before, manifest.full)}"
    if change.reason:
        message = f"{message} ({change.reason})"
    act = _act(deployment, verb, *_differing(was, _facts(deployment)))
    _unsettle(deployment, change, act, reason="Changed", message=message)
    return True


def _unsettle(
    deployment: Deployment, change: Change, act: Act, *, reason: str, message: str
) -> None:
    event = events.about_deployment(
        deployment,
        reason=reason,
        message=message,
        now=change.now,
        revision=deployment.revision or None,
        cause_id=None,
    )
    owing.owe_a_pass(deployment, events.done_by(change, event, act))


def _act(deployment: Deployment, verb: str, before: str = "", after: str = "") -> Act:
    return Act(verb=verb, kind="deployment", name=deployment.name, before=before, after=after)


def _facts(deployment: Deployment) -> tuple[str, ...]:
    """Return what is short enough to say in the audit."""
    return (
        count(deployment.replicas, "replica"),
        f"revision {deployment.revision}",
        "paused" if deployment.paused else "not paused",
    )


def _differing(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[str, str]:
    pairs = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    return ", ".join(was for was, _ in pairs), ", ".join(now for _, now in pairs)


def _check_generation(deployment: Deployment, expected: int | None) -> None:
    if expected is not None and deployment.generation != expected:
        raise GenerationConflict(deployment, expected)
