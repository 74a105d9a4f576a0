"""The manifest reference of the README, written from the table that validates."""

from __future__ import annotations

import json
from collections.abc import Iterator

from orchestrator.manifests.fields import ABSENT, Kind, Many, Only, Struct
from orchestrator.manifests.kinds import KINDS

# Places whose fields are those of another: every other probe, and wishes as duties.
_SHOWN = ("Deployment", "Service", "Ingress", "Secret")
_OF_EVERY_KIND = ("kind", "metadata", "metadata.name", "metadata.namespace", "metadata.labels")
_AS_ANOTHER = ("startupProbe", "livenessProbe", "podAntiAffinity", "preferredDuring")


def reference_markdown() -> str:
    """Return the manifest reference: every field of every kind with type, default, meaning."""
    parts = [
        _of_kind(name, KINDS[name].schema, told_before=bool(number))
        for number, name in enumerate(_SHOWN)
    ]
    return "\n".join(parts)


def _of_kind(name: str, schema: Struct, *, told_before: bool) -> str:
    """Return one kind; who an object is need not be said again for each."""
    lines = [f"### {name}", "", "| Field | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{path}` | {label} | {default} | {doc} |"
        for path, label, default, doc in _rows(schema, "")
        if not (told_before and path in _OF_EVERY_KIND)
    ]
    silent = ", ".join(f"`{pair}`" for pair in dict.fromkeys(_silent_pairs(schema)))
    if silent:
        lines += ["", f"Accepted without effect, with exactly these values: {silent}."]
    return "\n".join(lines) + "\n"


def _silent_pairs(kind: Kind) -> Iterator[str]:
    if isinstance(kind, Many):
        yield from _silent_pairs(kind.item)
    if isinstance(kind, Struct):
        for name, field in kind.fields.items():
            if isinstance(field.kind, Only):
                yield from (f"{name}: {json.dumps(value)}" for value in field.kind.values)
            yield from _silent_pairs(field.kind)


def _rows(kind: Kind, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    if isinstance(kind, Many) and isinstance(kind.item, Struct):
        yield from _rows(kind.item, f"{prefix}[]")
        return
    if not isinstance(kind, Struct):
        return
    for name, field in kind.fields.items():
        path = f"{prefix}.{name}" if prefix else name
        if field.ignored or isinstance(field.kind, Only):
            continue
        nested = isinstance(field.kind, Struct)
        if not any(known in prefix for known in _AS_ANOTHER):
            default = "required" if field.required else _shown(field.default)
            if not nested or field.doc:
                yield path, field.kind.label, default, field.doc
            yield from _rows(field.kind, path)


def _shown(default: object) -> str:
    if default is ABSENT or default == {}:
        return "–"
    return f"`{default if default and isinstance(default, str) else json.dumps(default)}`"
