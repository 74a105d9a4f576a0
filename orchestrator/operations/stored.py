"""Create, change and delete what is nothing more than a manifest with a name.

Each public method is one transaction: manifest, what follows from it and the event are saved
together. Routes follow in a transaction of their own as soon as that is committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from django.db import IntegrityError, transaction

from orchestrator.manifests import deployment as manifests
from orchestrator.manifests.kinds import KINDS
from orchestrator.manifests.manifest import Manifest, from_object
from orchestrator.models import Namespace, Stored
from orchestrator.operations import announce, events, namespaces, routing
from orchestrator.operations.assignments import new_uid
from orchestrator.operations.deployments import GenerationConflict, NamespaceNotFound, Saved
from orchestrator.operations.events import Act, Change

Json = dict[str, Any]
Row = TypeVar("Row", bound=Stored)


class ObjectNotFound(LookupError):
    """Nothing of that kind and name."""

    def __init__(self, kind: str, namespace: str, name: str) -> None:
        super().__init__(f'{kind.lower()} "{name}" does not exist in namespace "{namespace}"')


class ObjectExists(Exception):
    """The name is taken."""

    def __init__(self, kind: str, namespace: str, name: str) -> None:
        super().__init__(
            f'{kind.lower()} "{name}" already exists in namespace "{namespace}"; '
            "use apply, PUT or PATCH to change it"
        )


class ObjectConflict(Exception):
    """It cannot be as asked, because of something else that is there or is not."""


class Store(Generic[Row]):
    """Everything of one kind; subclasses say what follows from a manifest."""

    kind: ClassVar[str]
    model: type[Row]

    def adopt(self, row: Row, manifest: Manifest) -> None:
        """Set the columns that follow from the manifest, before the row is saved.

        Raises:
            ObjectConflict: something does not allow it.
        """

    def follow(self, row: Row, manifest: Manifest) -> None:
        """Save what belongs to the row, after it is saved.

        Raises:
            ObjectConflict: something does not allow it.
        """

    def check_free(self, row: Row) -> None:
        """Make sure that nothing needs the row.

        Raises:
            ObjectConflict: something does.
        """

    def stored(self, manifest: Manifest) -> Json:
        """Return what is kept of a manifest, as it was written."""
        return manifest.written

    def create(self, manifest: Manifest, change: Change) -> Row:
        """Create an object.

        Raises:
            ObjectExists: the name is taken.
            NamespaceNotFound: there is no such namespace.
        """
        try:
            with transaction.atomic():
                if self._find(manifest.namespace, manifest.name) is not None:
                    raise ObjectExists(self.kind, manifest.namespace, manifest.name)
                return self._create(manifest, change, "create")
        except IntegrityError:
            raise ObjectExists(self.kind, manifest.namespace, manifest.name) from None

    def replace(self, manifest: Manifest, change: Change, *, generation: int | None = None) -> Row:
        """Replace an object's manifest, or create it when there is none (PUT).

        Raises:
            ObjectNotFound: a generation is given, and there is no object.
            GenerationConflict: it is no longer at the given generation.
        """
        with transaction.atomic():
            found = self._find(manifest.namespace, manifest.name)
            if found is None:
                if generation is not None:
                    raise ObjectNotFound(self.kind, manifest.namespace, manifest.name)
                return self._create(manifest, change, "replace")
            _check_generation(found, generation)
            self._save(found, manifest, change, "replace")
            return found

    def patch(
        self,
        namespace: str,
        name: str,
        merge: Mapping[str, Any],
        change: Change,
        *,
        generation: int | None = None,
    ) -> Row:
        """Apply a JSON merge patch (RFC 7396) to the manifest as it was written.

        Raises:
            ManifestInvalid: the result is not a valid manifest.
        """
        with transaction.atomic():
            row = self.lock(namespace, name)
            _check_generation(row, generation)
            manifest = from_object(manifests.merge_patch(row.manifest, dict(merge)))
            if manifest.kind != self.kind:
                raise ObjectConflict(f"{self._named(row)} cannot become a {manifest.kind}")
            self._save(row, manifest, change, "patch")
            return row

    def apply(self, manifest: Manifest, change: Change) -> Saved:
        """Create or change one object so that it is as written, in a transaction."""
        row = self._find(manifest.namespace, manifest.name)
        before = row.manifest if row is not None else None
        if row is None:
            row, action = self._create(manifest, change, "apply"), "created"
        else:
            saved = self._save(row, manifest, change, "apply")
            action = "configured" if saved else "unchanged"
        return Saved(
            kind=self.kind,
            namespace=row.namespace_id,
            name=row.name,
            action=action,
            generation=row.generation,
            diff=manifests.diff_lines(before, self.stored(manifest), KINDS[self.kind].schema),
        )

    def delete(
        self, namespace: str, name: str, change: Change, *, generation: int | None = None
    ) -> None:
        """Delete an object.

        Raises:
            ObjectNotFound: there is none.
            ObjectConflict: something needs it.
        """
        with transaction.atomic():
            row = self.lock(namespace, name)
            _check_generation(row, generation)
            self.check_free(row)
            self._record(row, change, "delete", f"{self._named(row)} is deleted")
            row.delete()
            namespaces.remove_if_empty(namespace)

    def remove(self, manifest: Manifest, change: Change) -> Saved:
        """Delete what a manifest names, if it is there, in a transaction."""
        found = self._find(manifest.namespace, manifest.name)
        if found is not None:
            self.delete(manifest.namespace, manifest.name, change)
        return Saved(
            kind=self.kind,
            namespace=manifest.namespace,
            name=manifest.name,
            action="deleted" if found is not None else "absent",
        )

    def lock(self, namespace: str, name: str) -> Row:
        """Return the row, locked until the transaction ends.

        Raises:
            ObjectNotFound: there is none.
        """
        found = self._find(namespace, name)
        if found is None:
            raise ObjectNotFound(self.kind, namespace, name)
        return found

    def _find(self, namespace: str, name: str) -> Row | None:
        rows = self.model._default_manager.select_for_update(no_key=True)  # noqa: SLF001, Django's
        return rows.filter(namespace_id=namespace, name=name).first()

    def _create(self, manifest: Manifest, change: Change, verb: str) -> Row:
        if not Namespace.objects.filter(name=manifest.namespace, deleting=False).exists():
            raise NamespaceNotFound(manifest.namespace)
        row = self.model(
            uid=new_uid(),
            namespace_id=manifest.namespace,
            name=manifest.name,
            manifest=self.stored(manifest),
            created_at=change.now,
            changed_at=change.now,
        )
        self._keep(row, manifest)
        self._record(row, change, verb, f"{self._named(row)} is created", reason="Created")
        return row

    def _save(self, row: Row, manifest: Manifest, change: Change, verb: str) -> bool:
        """Make the locked row say what the manifest says; return whether anything changed."""
        if (manifest.namespace, manifest.name) != (row.namespace_id, row.name):
            raise ObjectConflict(
                f"{self._named(row)} cannot be renamed; create another and delete this one"
            )
        before, after = row.manifest, self.stored(manifest)
        if before == after:
            return False
        row.manifest, row.changed_at = after, change.now
        row.generation += 1
        self._keep(row, manifest)
        what = manifests.summarise_change(before, after)
        self._record(row, change, verb, f"{self._named(row)}: {what}", reason="Changed")
        return True

    def _keep(self, row: Row, manifest: Manifest) -> None:
        self.adopt(row, manifest)
        row.save()
        self.follow(row, manifest)

    def _record(
        self, row: Row, change: Change, verb: str, message: str, *, reason: str = "Deleted"
    ) -> None:
        event = events.about_namespace(
            row.namespace_id, reason=reason, message=message, now=change.now
        )
        act = Act(verb=verb, kind=self.kind.lower(), name=row.name)
        events.done_by(change, event, act).save()
        announce.changed(announce.TRAFFIC_TOPIC)
        routing.owe(self.kind.lower(), row.namespace_id, row.name, now=change.now)

    def _named(self, row: Row) -> str:
        return f"{self.kind.lower()} {row}"


def _check_generation(row: Stored, expected: int | None) -> None:
    if expected is not None and row.generation != expected:
        raise GenerationConflict(row, expected)
