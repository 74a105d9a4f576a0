"""JSON values as YAML in block form, for `-o yaml`; the client has no library to rely on.

A string stands plain where no reader of YAML can take it for anything else, and as JSON writes it
otherwise, which every reader of YAML understands.
"""

from __future__ import annotations

import json
import re

# Letters, then what occurs inside names, images and paths; the words are other types to YAML.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+-]*(:[A-Za-z0-9_./@+-]+)*( [A-Za-z0-9_./@+,()-]+)*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def dump(value: object) -> str:
    """Return a value made of objects, lists, strings, numbers, booleans and null as YAML."""
    return "\n".join(_lines(value))


def _lines(value: object) -> list[str]:
    if isinstance(value, dict) and value:
        return [line for key, item in value.items() for line in _entry(f"{_scalar(key)}:", item)]
    if isinstance(value, list) and value:
        return [line for item in value for line in _item(item)]
    return [_scalar(value)]


def _entry(key: str, item: object) -> list[str]:
    if isinstance(item, dict) and item:
        return [key, *(f"  {line}" for line in _lines(item))]
    if isinstance(item, list) and item:
        return [key, *_lines(item)]
    return [f"{key} {_scalar(item)}"]


def _item(item: object) -> list[str]:
    first, *others = _lines(item)
    return [f"- {first}", *(f"  {line}" for line in others)]


def _scalar(value: object) -> str:
    is_plain = isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    if is_plain:
        return str(value)
    text = json.dumps(value, ensure_ascii=False)
    # What is not printable may be a line break to YAML, and has another escape there.
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
