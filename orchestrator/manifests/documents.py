"""Text to plain values: multi-document YAML or JSON, with the line of everything.

Stricter than a YAML library: no duplicate keys, no tags, bounded size, depth and expansion.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from orchestrator.manifests.composing import MAX_DEPTH, MAX_VALUES, TOO_MUCH, compose
from orchestrator.manifests.problems import (
    Findings,
    ManifestInvalid,
    Path,
    Problem,
    quoted,
    refuse,
)

MAX_BYTES = 1024 * 1024
LARGEST_INTEGER = 2**63 - 1

_TAG = "tag:yaml.org,2002:"
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
# Escapes can make characters that no text column takes: NUL, and halves of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_UNSTORABLE_WORDS = "the text holds a NUL character or half a surrogate pair; neither can be stored"
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_NOT_A_NUMBER = "is not a number this can hold"


@dataclass(slots=True)
class Document:
    """One document: its value, and what is wrong with it so far (with its number and lines)."""

    value: Any
    findings: Findings


def load(text: str | bytes) -> list[Document]:
    """Return every document that is not empty.

    Raises:
        ManifestInvalid: it is too large, not UTF-8, not YAML or JSON, or bends their rules.
    """
    problems: list[Problem] = []
    documents = read(text, problems)
    if problems:
        raise ManifestInvalid(tuple(problems))
    return documents


def read(text: str | bytes, problems: list[Problem]) -> list[Document]:
    """Return every document that is not empty, and add what is wrong inside them to `problems`.

    Raises:
        ManifestInvalid: the text cannot be read to its end.
    """
    decoded = _decode(text)
    try:
        return _read_yaml(decoded, problems)
    except yaml.YAMLError as error:
        if (value := _as_json(decoded)) is None:
            raise refuse(_yaml_sentence(error), _yaml_line(error)) from None
    problems.clear()
    try:
        # JSON may be indented with tabs, YAML not; they never stand inside a JSON string.
        return _read_yaml(decoded.replace("\t", " "), problems)
    except yaml.YAMLError:
        return [Document(value=value, findings=Findings(document=1, problems=problems))]


def check(value: object) -> None:
    """Hold plain values (decoded JSON) to the bounds that text is held to while it is read.

    Raises:
        ManifestInvalid: it is too much, or holds what cannot be stored.
    """
    left, count = [(value, 0)], 0
    while left:
        item, depth = left.pop()
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            raise refuse(TOO_MUCH)
        if isinstance(item, dict):
            left += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, list):
            left += [(part, depth + 1) for part in item]
        elif (fault := _fault(item)) is not None:
            raise refuse(fault)


def _fault(scalar: object) -> str | None:
    if isinstance(scalar, str) and _UNSTORABLE.search(scalar):
        return _UNSTORABLE_WORDS
    if isinstance(scalar, int) and abs(scalar) > LARGEST_INTEGER:
        return f"a number of {scalar.bit_length()} bits {_NOT_A_NUMBER}"
    if isinstance(scalar, float) and not math.isfinite(scalar):
        return f"{scalar} is not a finite number"
    return None


def _decode(text: str | bytes) -> str:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise refuse(f"the text has {size:,} bytes; at most {MAX_BYTES:,} are accepted")
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise refuse(f"the text is not UTF-8 (byte {error.start})") from None
    found = _CONTROL.search(decoded)
    if found:
        line = decoded.count("\n", 0, found.start()) + 1
        raise refuse(f"the control character {found.group()!r} is not allowed", line)
    return decoded


def _as_json(text: str) -> Any:
    """Return the value of JSON that YAML cannot read (tabs, say), or None."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value = json.loads(text, object_pairs_hook=_without_duplicates)
    except ManifestInvalid:
        raise
    except (ValueError, RecursionError):
        return None
    check(value)
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise refuse(f"the key {quoted(key)} is given twice; remove one")
        value[key] = item
    return value


def _yaml_sentence(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"this is not valid YAML or JSON: {problem}"


def _yaml_line(error: yaml.YAMLError) -> int | None:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark is not None else None


def _read_yaml(text: str, problems: list[Problem]) -> list[Document]:
    reader = _Reader(problems)
    documents = [reader.read(node, number) for number, node in enumerate(compose(text), start=1)]
    return [document for document in documents if document.value is not None]


class _Reader:
    """Turns the trees of YAML nodes of one text into plain values."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._findings = Findings()
        self._count = 0

    def read(self, root: yaml.Node, number: int) -> Document:
        self._findings = Findings(document=number, problems=self._problems)
        return Document(value=self._value(root, ()), findings=self._findings)

    def _value(self, node: yaml.Node, path: Path) -> Any:
        # Counted again, because an alias is one node in the text and many values here.
        self._count += 1
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise refuse(TOO_MUCH, node.start_mark.line + 1)
        self._findings.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        is_map = isinstance(node, yaml.MappingNode)
        if node.tag != f"{_TAG}{'map' if is_map else 'seq'}":
            self._refuse_tag(node, path)
        if is_map:
            return dict(self._pairs(node, path))
        return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]

    def _pairs(self, node: yaml.Node, path: Path) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._findings.add(path, "a key must be a plain string")
                continue
            key = str(key_node.value)
            self._findings.lines[(*path, key)] = key_node.start_mark.line + 1
            if key_node.tag == f"{_TAG}merge":
                self._findings.add((*path, key), 'merge keys ("<<") are not supported')
            elif key in seen:
                told = f"the key {quoted(key)} is given twice; remove one"
                self._findings.add((*path, key), told)
            elif _UNSTORABLE.search(key):
                self._findings.add(path, _UNSTORABLE_WORDS)
            else:
                seen.add(key)
                yield key, self._value(value_node, (*path, key))

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind, text = node.tag.removeprefix(_TAG), str(node.value)
        if kind == "null" and text.lower() in {"", "~", "null"}:
            return None
        if kind == "bool" and text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        # YAML 1.1 reads 22:22 as 22 × 60 + 22, which nobody means.
        if kind in {"int", "float"} and ":" not in text:
            return self._number(kind, node, text, path)
        if kind not in {"str", "timestamp", "value", "int", "float"}:
            self._refuse_tag(node, path)
        if _UNSTORABLE.search(text):
            self._findings.add(path, _UNSTORABLE_WORDS)
        return text

    def _refuse_tag(self, node: yaml.Node, path: Path) -> None:
        tag = quoted(node.tag.replace(_TAG, "!!"))
        self._findings.add(path, f"the YAML tag {tag} is not allowed here; remove it")

    def _number(self, kind: str, node: yaml.ScalarNode, text: str, path: Path) -> Any:
        constructor = yaml.constructor.SafeConstructor()
        try:
            number: int | float = (
                constructor.construct_yaml_int(node)
                if kind == "int"
                else constructor.construct_yaml_float(node)
            )
        except (ValueError, OverflowError):
            self._findings.add(path, f"{quoted(text)} {_NOT_A_NUMBER}")
            return 0
        if (fault := _fault(number)) is not None:
            self._findings.add(path, fault)
            return 0
        return number
