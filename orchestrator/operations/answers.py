"""Answers kept for repeated requests."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction

from orchestrator.models import IdempotentAnswer

_UNANSWERED = 0


def claim(user: Any, key: str, digest: str, *, now: datetime) -> tuple[IdempotentAnswer, bool]:
    """Return the row under a user's key, and whether it was made now; in a transaction.

    The row is made before the work is begun: somebody with the same key then waits on the unique
    index until this transaction ends, and finds the answer (or, if it failed, nothing).
    """
    try:
        with transaction.atomic():
            row = IdempotentAnswer.objects.create(
                user_id=user.pk,
                key=key,
                request_digest=digest,
                status=_UNANSWERED,
                created_at=now,
            )
    except IntegrityError:
        return IdempotentAnswer.objects.get(user_id=user.pk, key=key), False
    return row, True


def keep(row: IdempotentAnswer, *, status: int, body: Any) -> None:
    """Keep the answer in the claimed row."""
    row.status = status
    row.body = json.loads(json.dumps(body, cls=DjangoJSONEncoder))
    row.save(update_fields=["status", "body", "created_at"])


def forget(row: IdempotentAnswer) -> None:
    """Give the key up: the request is to be tried again."""
    row.delete()
