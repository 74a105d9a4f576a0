"""Create, change and delete what is nothing more than a manifest with a name.

Each public method is one transaction: manifest, what follows from it and the event are saved
together. Routes follow in a transaction of their own as soon as that is committed. Many objects
take hardly more queries than one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import Any, ClassVar, Generic, TypeVar

from django.db import IntegrityError, transaction

from orchestrator.manifests import deployment as manifests
from orchestrator.manifests.kinds import KINDS
from orchestrator.manifests.manifest import Manifest, from_object
from orchestrator.models import Event, Namespace, Stored
from orchestrator.operations import announce, events, many_rows, namespaces, routing
from orchestrator.operations.assignments import new_uid
from orchestrator.operations.deployments import GenerationConflict, NamespaceNotFound, Saved
from orchestrator.operations.events import Act, Change

Json = dict[str, Any]
Names = tuple[str, str]
Row = TypeVar("Row", bound=Stored)
_REASONS = {"is created": "Created", "is deleted": "Deleted"}
_FOR_LIFE = frozenset({"id", "uid", "namespace", "name", "created_at"})


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

    def adopt_all(self, pairs: Sequence[tuple[Row, Manifest]]) -> None:
        """Set these columns of many rows."""
        for row, manifest in pairs:
            self.adopt(row, manifest)

    def follow_all(self, pairs: Sequence[tuple[Row, Manifest]]) -> None:
        """Save what belongs to many rows."""
        for row, manifest in pairs:
            self.follow(row, manifest)

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

    def apply(self, manifests: Sequence[Manifest], change: Change) -> list[Saved]:
        """Create or change objects so that they are as written, in a transaction."""
        known = self._find_all(manifests)
        before = {names: row.manifest for names, row in known.items()}
        _check_namespaces({one.namespace for one in manifests if _names(one) not in known})
        made: list[tuple[Row, Manifest]] = []
        told: list[tuple[Row, str]] = []
        for manifest in manifests:
            found = known.get(_names(manifest))
            row = known[_names(manifest)] = found or self._new(manifest, change)
            what = "is created" if found is None else self._change(row, manifest, change)
            if what:
                made.append((row, manifest))
                told.append((row, what))
        self._keep(made)
        self._record(told, change, "apply")
        return [self._saved(known[_names(m)], m, before.get(_names(m))) for m in manifests]

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
            self._record([(row, "is deleted")], change, "delete")
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

    def _find_all(self, manifests: Sequence[Manifest]) -> dict[Names, Row]:
        """Return those that are there, locked in the order of their names."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for manifest in manifests:
            wanted[manifest.namespace].append(manifest.name)
        rows = self.model._default_manager.select_for_update(no_key=True)  # noqa: SLF001, Django's
        return {
            (namespace, row.name): row
            for namespace in sorted(wanted)
            for row in rows.filter(namespace_id=namespace, name__in=wanted[namespace])
        }

    def _create(self, manifest: Manifest, change: Change, verb: str) -> Row:
        _check_namespaces({manifest.namespace})
        row = self._new(manifest, change)
        self._keep([(row, manifest)])
        self._record([(row, "is created")], change, verb)
        return row

    def _new(self, manifest: Manifest, change: Change) -> Row:
        return self.model(
            uid=new_uid(),
            namespace_id=manifest.namespace,
            name=manifest.name,
            manifest=self.stored(manifest),
            created_at=change.now,
            changed_at=change.now,
        )

    def _save(self, row: Row, manifest: Manifest, change: Change, verb: str) -> None:
        """Make the locked row say what the manifest says."""
        if (manifest.namespace, manifest.name) != (row.namespace_id, row.name):
            raise ObjectConflict(
                f"{self._named(row)} cannot be renamed; create another and delete this one"
            )
        if what := self._change(row, manifest, change):
            self._keep([(row, manifest)])
            self._record([(row, what)], change, verb)

    def _change(self, row: Row, manifest: Manifest, change: Change) -> str:
        """Set what the manifest says; return what is said of it, nothing if it says the same."""
        before, after = row.manifest, self.stored(manifest)
        if before == after:
            return ""
        row.manifest, row.changed_at = after, change.now
        row.generation += 1
        return manifests.summarise_change(before, after)

    def _keep(self, pairs: Sequence[tuple[Row, Manifest]]) -> None:
        """Save new and changed rows, with all that follows from them."""
        self.adopt_all(pairs)
        rows = self.model._default_manager  # noqa: SLF001, Django's
        changed = [row for row, _ in pairs if row.pk is not None]
        rows.bulk_create(row for row, _ in pairs if row.pk is None)
        names = {field.name for field in self.model._meta.concrete_fields}  # noqa: SLF001, too
        many_rows.update(changed, sorted(names - _FOR_LIFE))
        self.follow_all(pairs)

    def _record(self, told: Sequence[tuple[Row, str]], change: Change, verb: str) -> None:
        """Note what was done to each, and that its routes are to be renewed."""
        written = []
        for row, what in told:
            event = events.about_namespace(
                row.namespace_id,
                reason=_REASONS.get(what, "Changed"),
                message=f"{self._named(row)}{' ' if what in _REASONS else ': '}{what}",
                now=change.now,
            )
            act = Act(verb=verb, kind=self.kind.lower(), name=row.name)
            written.append(events.done_by(change, event, act))
            routing.owe(self.kind.lower(), row.namespace_id, row.name, now=change.now)
        Event.objects.bulk_create(written)
        if written:
            announce.changed(announce.TRAFFIC_TOPIC)

    def _saved(self, row: Row, manifest: Manifest, before: Json | None) -> Saved:
        """Return what became of an object that was like this before."""
        after = self.stored(manifest)
        action = "created" if before is None else "configured"
        return Saved(
            kind=self.kind,
            namespace=row.namespace_id,
            name=row.name,
            action="unchanged" if before == after else action,
            generation=row.generation,
            diff=manifests.diff_lines(before, after, KINDS[self.kind].schema),
        )

    def _named(self, row: Row) -> str:
        return f"{self.kind.lower()} {row}"


def _names(manifest: Manifest) -> Names:
    return manifest.namespace, manifest.name


def _check_namespaces(names: Set[str]) -> None:
    known = Namespace.objects.filter(name__in=names, deleting=False) if names else ()
    if missing := names - {row.name for row in known}:
        raise NamespaceNotFound(min(missing))


def _check_generation(row: Stored, expected: int | None) -> None:
    if expected is not None and row.generation != expected:
        raise GenerationConflict(row, expected)
