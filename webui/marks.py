"""Labels and taints of a node as people type them: one in a line, in kubectl's spelling.

A form carries what it showed, so that saving it changes what was typed and nothing that somebody
else changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from orchestrator.manifests import node_change
from orchestrator.manifests.node_change import NodeChange
from orchestrator.queries.nodes import NodeRecord
from webui.pages import Mistyped

MOST_TEXT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Both texts, and those the form began from."""

    labels: str
    taints: str
    labels_before: str
    taints_before: str

    @classmethod
    def of(cls, record: NodeRecord) -> Marks:
        """Return the texts for a node as it is."""
        labels = "\n".join(f"{key}={value}" for key, value in sorted(record.given_labels.items()))
        taints = "\n".join(str(taint) for taint in record.taints)
        return cls(labels=labels, taints=taints, labels_before=labels, taints_before=taints)

    @classmethod
    def typed(cls, sent: Mapping[str, str]) -> Marks:
        """Return the texts of a form that was sent."""
        names = ("labels", "taints", "labels_before", "taints_before")
        texts = {name: sent.get(name, "")[:MOST_TEXT].replace("\r\n", "\n") for name in names}
        return cls(**texts)

    def wanted(self, record: NodeRecord) -> NodeChange:
        """Return the change of a node that these texts ask for.

        Raises:
            Mistyped: a line is no label or no taint.
            NodeChangeInvalid: what is typed could be none; every fault is listed.
        """
        before, after = _labels(self.labels_before), _labels(self.labels)
        labels: dict[str, str | None] = dict.fromkeys(before.keys() - after.keys())
        labels |= {key: value for key, value in after.items() if before.get(key) != value}
        asked: dict[str, Any] = {"labels": labels}
        if self.taints.split() != self.taints_before.split():
            asked["taints"] = self._taints_after(record)
        return node_change.read(asked)

    def _taints_after(self, record: NodeRecord) -> list[dict[str, str]]:
        before, after = _lines(self.taints_before), _lines(self.taints)
        kept = [str(taint) for taint in record.taints]
        kept = [text for text in kept if text in after or text not in before]
        new = [text for text in after if text not in before and text not in kept]
        return [_taint(text) for text in [*kept, *new]]


def _lines(text: str) -> Sequence[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _labels(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in _lines(text):
        key, equals, value = line.partition("=")
        if not equals:
            raise Mistyped(
                _('"%(line)s" is no label; write key=value, one in a line. Nothing was changed.')
                % {"line": line[:80]}
            )
        if key.strip() in found:
            raise Mistyped(
                _("The label %(key)s is there twice; keep one. Nothing was changed.")
                % {"key": key.strip()[:80]}
            )
        found[key.strip()] = value.strip()
    return found


def _taint(line: str) -> dict[str, str]:
    mark, colon, effect = line.rpartition(":")
    if not colon:
        raise Mistyped(
            _(
                '"%(line)s" is no taint; write key=value:Effect, where the effect is NoSchedule '
                "or PreferNoSchedule, one in a line. Nothing was changed."
            )
            % {"line": line[:80]}
        )
    key, _equals, value = mark.partition("=")
    return {"key": key.strip(), "value": value.strip(), "effect": effect.strip()}
