"""YAML text to a tree of nodes, built from parser events so that its size and depth are bounded.

The composer that comes with libyaml recurses in C as deep as the text nests and takes the whole
process down; here nothing deeper than `MAX_DEPTH` is ever entered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from orchestrator.manifests.problems import refuse

MAX_VALUES = 100_000
MAX_DEPTH = 64
TOO_MUCH = f"the text has more than {MAX_VALUES:,} values or is nested deeper than {MAX_DEPTH}"

_TEXT_TAG = "tag:yaml.org,2002:str"
_NUMBER_TAG = "tag:yaml.org,2002:float"

# A number in JSON and YAML 1.2; YAML 1.1 wants a point and a sign, and calls this a string.
_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose(text: str) -> Iterator[yaml.Node]:
    """Yield the root of every document; an alias stands as the very node it names.

    Raises:
        ManifestInvalid: too large, too deep, or an alias of nothing.
        yaml.YAMLError: the text is not YAML.
    """
    loader = _Loader(text)
    try:
        yield from _Composer(loader).roots()
    except yaml.scanner.ScannerError as error:
        # Newer releases of libyaml read ahead only so deep, and say so before a node is built.
        if "nesting depth" not in f"{error.context} {error.problem}":
            raise
        raise refuse(
            TOO_MUCH, error.problem_mark.line + 1 if error.problem_mark else None
        ) from None
    finally:
        loader.dispose()


class _Composer:
    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._anchors: dict[str, yaml.Node] = {}
        self._count = 0

    def roots(self) -> Iterator[yaml.Node]:
        self._loader.get_event()
        while not self._loader.check_event(yaml.StreamEndEvent):
            self._loader.get_event()
            self._anchors = {}
            yield self._node(self._loader.get_event(), 0)
            self._loader.get_event()

    def _node(self, event: Any, depth: int) -> yaml.Node:
        self._count += 1
        if self._count > MAX_VALUES or depth > MAX_DEPTH:
            raise refuse(TOO_MUCH, event.start_mark.line + 1)
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        node = self._read(event, depth)
        # Only now, so that a node cannot contain itself.
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _aliased(self, event: Any) -> yaml.Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            message = f'the alias "*{event.anchor[:80]}" names no value that ends before it'
            raise refuse(message, event.start_mark.line + 1)
        return node

    def _read(self, event: Any, depth: int) -> yaml.Node:
        start = event.start_mark
        if isinstance(event, yaml.ScalarEvent):
            return yaml.ScalarNode(
                self._tag(yaml.ScalarNode, event, event.value), event.value, start
            )
        if isinstance(event, yaml.SequenceStartEvent):
            items = list(self._until(yaml.SequenceEndEvent, depth + 1))
            return yaml.SequenceNode(self._tag(yaml.SequenceNode, event, None), items, start)
        flat = self._until(yaml.MappingEndEvent, depth + 1)
        pairs = list(zip(flat, flat, strict=True))
        return yaml.MappingNode(self._tag(yaml.MappingNode, event, None), pairs, start)

    def _until(self, end: type[yaml.Event], depth: int) -> Iterator[yaml.Node]:
        while not isinstance(event := self._loader.get_event(), end):
            yield self._node(event, depth)

    def _tag(self, kind: type[yaml.Node], event: Any, value: str | None) -> str:
        if event.tag is not None and event.tag != "!":
            return str(event.tag)
        tag = str(self._loader.resolve(kind, value, event.implicit))
        is_plain = value is not None and tag == _TEXT_TAG and event.implicit[0]
        return _NUMBER_TAG if is_plain and _EXPONENT.fullmatch(value or "") else tag
