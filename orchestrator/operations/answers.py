"""Answers kept for repeated requests."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from orchestrator.models import IdempotentAnswer


def find(user: Any, key: str) -> IdempotentAnswer | None:
    """Return the answer kept under a user's key, locked until the transaction ends."""
    rows = IdempotentAnswer.objects.select_for_update(no_key=True)
    return rows.filter(user_id=user.pk, key=key).first()


def keep(user: Any, key: str, digest: str, *, status: int, body: Any, now: datetime) -> None:
    """Keep an answer.

    Raises:
        IntegrityError: another request with the key was served at the same moment.
    """
    plain = json.loads(json.dumps(body, cls=DjangoJSONEncoder))
    IdempotentAnswer.objects.create(
        user_id=user.pk, key=key, request_digest=digest, status=status, body=plain, created_at=now
    )
