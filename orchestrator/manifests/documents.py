"""Text to plain values: multi-document YAML or JSON, with the line of everything.

Stricter than a YAML library: no duplicate keys, no tags, bounded size, depth and expansion.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from orchestrator.manifests.problems import Findings, ManifestInvalid, Path, Problem

MAX_BYTES = 1024 * 1024
MAX_VALUES = 100_000
MAX_DEPTH = 64

_TOO_MUCH = f"the document has more than {MAX_VALUES:,} values or is nested deeper than {MAX_DEPTH}"
_TAG = "tag:yaml.org,2002:"
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
# Escapes can make characters that no text column takes: NUL, and halves of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_UNSTORABLE_WORDS = "the text holds a NUL character or half a surrogate pair; neither can be stored"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Document:
    """One document: its value, its number from 1, and the line each path starts on."""

    value: Any
    number: int
    lines: dict[Path, int] = field(default_factory=dict)


def load(text: str | bytes) -> list[Document]:
    """Return every document that is not empty.

    Raises:
        ManifestInvalid: it is too large, not UTF-8, not YAML or JSON, or bends their rules.
    """
    decoded = _decode(text)
    try:
        nodes = list(yaml.compose_all(decoded, Loader=_Loader))
    except RecursionError:
        raise _refuse("the text is nested too deeply") from None
    except yaml.YAMLError as error:
        if (value := _as_json(decoded)) is not None:
            return [Document(value=value, number=1)]
        raise _refuse(_yaml_sentence(error), _yaml_line(error)) from None
    documents = []
    for number, node in enumerate(nodes, start=1):
        document = _Reader(number).read(node)
        if document.value is not None:
            documents.append(document)
    return documents


def _decode(text: str | bytes) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise _refuse(f"the text has {size:,} bytes; at most {MAX_BYTES:,} are accepted")
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise _refuse(f"the text is not UTF-8 (byte {error.start})") from None
    found = _CONTROL.search(decoded)
    if found:
        line = decoded.count("\n", 0, found.start()) + 1
        raise _refuse(f"the control character {found.group()!r} is not allowed", line)
    return decoded


def _as_json(text: str) -> Any:
    """Return the value of JSON that YAML cannot read (tabs, say), or None."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        return None
    _check_json(value)
    return value


def _check_json(value: Any) -> None:
    """Hold JSON to the bounds that YAML is held to while it is read."""
    left, count = [(value, 0)], 0
    while left:
        item, depth = left.pop()
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            raise _refuse(_TOO_MUCH)
        if isinstance(item, dict):
            left += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, list):
            left += [(part, depth + 1) for part in item]
        elif isinstance(item, str) and _UNSTORABLE.search(item):
            raise _refuse(_UNSTORABLE_WORDS)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise _refuse(f'the key "{key}" is given twice')
    return dict(pairs)


def _refuse(message: str, line: int | None = None) -> ManifestInvalid:
    return ManifestInvalid((Problem(message=message, line=line),))


def _yaml_sentence(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"this is not valid YAML or JSON: {problem}"


def _yaml_line(error: yaml.YAMLError) -> int | None:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark is not None else None


class _Reader:
    """Turns one tree of YAML nodes into plain values."""

    def __init__(self, number: int) -> None:
        self._document = Document(value=None, number=number)
        self._findings = Findings(document=number, lines=self._document.lines)
        self._count = 0

    def read(self, node: yaml.Node | None) -> Document:
        if node is not None:
            self._document.value = self._value(node, ())
        if self._findings.problems:
            raise ManifestInvalid(tuple(self._findings.problems))
        return self._document

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise _refuse(_TOO_MUCH, node.start_mark.line + 1)
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        raise TypeError(f"YAML has no node of kind {type(node).__name__}")

    def _pairs(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._findings.add(path, "a key must be a plain string")
                continue
            key = str(key_node.value)
            self._document.lines[(*path, key)] = key_node.start_mark.line + 1
            if key_node.tag == f"{_TAG}merge":
                self._findings.add((*path, key), 'merge keys ("<<") are not supported')
            elif key in seen:
                self._findings.add((*path, key), f'the key "{key}" is given twice; remove one')
            elif _UNSTORABLE.search(key):
                self._findings.add(path, _UNSTORABLE_WORDS)
            else:
                seen.add(key)
                yield key, self._value(value_node, (*path, key))

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind, text = node.tag.removeprefix(_TAG), str(node.value)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in {"true", "yes", "on"}
        if kind in {"int", "float"}:
            return self._number(kind, node, text, path)
        if kind not in {"str", "timestamp", "value"}:
            self._findings.add(path, f"the YAML tag {node.tag} is not allowed")
        if _UNSTORABLE.search(text):
            self._findings.add(path, _UNSTORABLE_WORDS)
        return text

    def _number(self, kind: str, node: yaml.ScalarNode, text: str, path: Path) -> Any:
        constructor = yaml.constructor.SafeConstructor()
        try:
            if kind == "int":
                return constructor.construct_yaml_int(node)
            number = constructor.construct_yaml_float(node)
        except (ValueError, OverflowError):
            self._findings.add(path, f"{text[:40]} is not a number this can hold")
            return 0
        if not math.isfinite(number):
            self._findings.add(path, f"{text[:40]} is not a finite number")
            return 0
        return number
