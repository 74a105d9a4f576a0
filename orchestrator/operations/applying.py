"""Apply or delete everything a text of manifests names: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

from django.db import transaction

from orchestrator.manifests import autoscaler
from orchestrator.manifests.manifest import Manifest
from orchestrator.models import Deployment
from orchestrator.operations import (
    autoscalers,
    deployments,
    ingresses,
    namespaces,
    secrets,
    services,
)
from orchestrator.operations.deployments import Saved
from orchestrator.operations.events import Change
from orchestrator.operations.stored import Store

_STORES: dict[str, Store[Any]] = {
    store.kind: store for store in (secrets.STORE, services.STORE, ingresses.STORE)
}
_ORDER = ("Namespace", *_STORES, "Deployment", "HorizontalPodAutoscaler")


class _DryRun(Exception):
    """Ends a transaction that must leave nothing behind."""


def apply(manifests: Sequence[Manifest], change: Change, *, dry_run: bool = False) -> list[Saved]:
    """Make every object as written, in one transaction; namespaces first.

    With `dry_run` the same code runs and everything is undone, so the answer is the real one.

    Raises:
        NamespaceNotFound: a document names a namespace that neither exists nor comes with it.
        DeploymentBusy: a deployment is being deleted.
    """
    return _all_or_nothing(_namespaces_first(manifests), _save_all, change, dry_run=dry_run)


def delete(manifests: Sequence[Manifest], change: Change, *, dry_run: bool = False) -> list[Saved]:
    """Delete every object the manifests name, in one transaction; namespaces last."""
    ordered = _namespaces_first(manifests)[::-1]
    return _all_or_nothing(ordered, _delete_all, change, dry_run=dry_run)


def _all_or_nothing(
    ordered: Sequence[tuple[int, Manifest]],
    make: Callable[[Sequence[Manifest], Change], Iterator[Saved]],
    change: Change,
    *,
    dry_run: bool,
) -> list[Saved]:
    saved: dict[int, Saved] = {}
    try:
        with transaction.atomic():
            _lock_deployments([manifest for _, manifest in ordered])
            made = make([manifest for _, manifest in ordered], change)
            for (index, _), done in zip(ordered, made, strict=True):
                saved[index] = done
            if dry_run:
                raise _DryRun  # noqa: TRY301, the way out of the transaction
    except _DryRun:
        pass
    return [saved[index] for index in sorted(saved)]


def _namespaces_first(manifests: Sequence[Manifest]) -> list[tuple[int, Manifest]]:
    """Order by kind and name: what is named by others first.

    Two applies at once take their locks in the same order, too.
    """
    return sorted(
        enumerate(manifests),
        key=lambda pair: (_ORDER.index(pair[1].kind), pair[1].namespace, pair[1].name),
    )


def _lock_deployments(manifests: Sequence[Manifest]) -> None:
    """Lock the deployments that autoscalers here will look at, with those named, in one order."""
    targets = {
        (manifest.namespace, autoscaler.target_of(manifest.full))
        for manifest in manifests
        if manifest.kind == "HorizontalPodAutoscaler"
    }
    if not targets:
        return
    named = {(one.namespace, one.name) for one in manifests if one.kind == "Deployment"}
    rows = Deployment.objects.select_for_update(of=("self",), no_key=True)
    for namespace, name in sorted(targets | named):
        rows.filter(namespace_id=namespace, name=name).first()


def _save_all(manifests: Sequence[Manifest], change: Change) -> Iterator[Saved]:
    """Save manifests in their order, what is stored as it is in one go for each kind."""
    for kind, some in groupby(manifests, key=lambda manifest: manifest.kind):
        if kind in _STORES:
            yield from _STORES[kind].apply(list(some), change)
        else:
            for manifest in some:
                yield _save(manifest, change)


def _delete_all(manifests: Sequence[Manifest], change: Change) -> Iterator[Saved]:
    for manifest in manifests:
        yield _delete(manifest, change)


def _save(manifest: Manifest, change: Change) -> Saved:
    if manifest.kind == "Namespace":
        action = namespaces.declare(manifest, change)
        return Saved(kind="Namespace", namespace="", name=manifest.name, action=action)
    if manifest.kind == "HorizontalPodAutoscaler":
        return autoscalers.save_manifest(manifest, change)
    return deployments.save_manifest(manifest, change)


def _delete(manifest: Manifest, change: Change) -> Saved:
    if manifest.kind == "Namespace":
        gone = namespaces.delete(manifest.name, change)
        action = "deleted" if gone else "absent"
        return Saved(kind="Namespace", namespace="", name=manifest.name, action=action)
    if manifest.kind in _STORES:
        return _STORES[manifest.kind].remove(manifest, change)
    if manifest.kind == "HorizontalPodAutoscaler":
        return autoscalers.remove(manifest, change)
    named = Deployment.objects.filter(namespace_id=manifest.namespace, name=manifest.name)
    action = "deleted" if named.exists() else "absent"
    if action == "deleted":
        deployments.delete(manifest.namespace, manifest.name, change)
    return Saved(
        kind=manifest.kind, namespace=manifest.namespace, name=manifest.name, action=action
    )
