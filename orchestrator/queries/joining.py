"""What became of a token with which a machine may join, in one query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.models import JoinToken


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinTokenRecord:
    """A join token; `node` is who used it, empty while nobody has."""

    expires_at: datetime
    node: str


def get(pk: int) -> JoinTokenRecord | None:
    """Return a token's record, or None."""
    row = JoinToken.objects.filter(pk=pk).first()
    return JoinTokenRecord(expires_at=row.expires_at, node=row.node) if row is not None else None
