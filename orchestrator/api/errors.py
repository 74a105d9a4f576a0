"""One table: what went wrong → HTTP status and an RFC 9457 problem."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, OperationalError
from django.http import HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from orchestrator.manifests.problems import ManifestInvalid
from orchestrator.operations import deployments, namespaces, nodes, replicas, revisions

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

STATUSES: tuple[tuple[type[Exception], int, str], ...] = (
    (ManifestInvalid, 422, "The manifest is not valid"),
    (deployments.DeploymentNotFound, 404, "Not found"),
    (deployments.NamespaceNotFound, 404, "Not found"),
    (revisions.RevisionNotFound, 404, "Not found"),
    (nodes.NodeNotFound, 404, "Not found"),
    (replicas.ReplicaNotFound, 404, "Not found"),
    (deployments.DeploymentExists, 409, "The name is taken"),
    (deployments.GenerationConflict, 409, "It was changed in the meantime"),
    (deployments.DeploymentBusy, 409, "Not possible now"),
    (namespaces.NamespaceInUse, 409, "Not possible now"),
    (replicas.ReplicaNotRunning, 409, "Not possible now"),
    (RequestDataTooBig, 413, "The body is too large"),
    (OperationalError, 503, "The database does not answer"),
    (DatabaseError, 503, "The database failed"),
)


class KeyReused(exceptions.APIException):
    """An Idempotency-Key came back with another request."""

    status_code = 422
    default_detail = "this Idempotency-Key was used for another request; use a fresh one"


def problem_response(error: Exception, context: dict[str, Any]) -> Response:
    """Return the problem for any exception of a view (DRF's exception handler)."""
    status, title = next(
        ((code, words) for kind, code, words in STATUSES if isinstance(error, kind)), (0, "")
    )
    if status:
        body = problem(status, title, _detail(error, status))
        if isinstance(error, ManifestInvalid):
            body["problems"] = [asdict(item) for item in error.problems]
        headers = {"Retry-After": "2"} if status == 503 else None
        return Response(body, status=status, content_type=CONTENT_TYPE, headers=headers)
    known = exception_handler(error, context)
    if known is None:
        logger.error("A request failed", exc_info=error)
        body = problem(500, "The server failed", "this is our mistake; the server's log says more")
        return Response(body, status=500, content_type=CONTENT_TYPE)
    known.data = problem(known.status_code, known.status_text, _sentence(known.data))
    known.content_type = CONTENT_TYPE
    return known


def problem(status: int, title: str, detail: str) -> dict[str, Any]:
    """Return the body of a problem."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}


def not_found(request: HttpRequest, *_: object, **__: object) -> JsonResponse:
    """Answer an address below /api/ that leads nowhere."""
    body = problem(404, "Not found", f"there is nothing at {request.path}; see /api/docs/")
    return JsonResponse(body, status=404, content_type=CONTENT_TYPE)


def _detail(error: Exception, status: int) -> str:
    if status == 503:
        logger.error("The database failed", exc_info=error)
        return "nothing was changed; try again in a moment"
    if status == 413:
        return "at most 1 MiB is accepted"
    return str(error)


def _sentence(data: object) -> str:
    """Return DRF's error data, however nested, as one line."""
    if isinstance(data, dict):
        parts = [
            _sentence(value)
            if key in {"detail", "non_field_errors"}
            else f"{key}: {_sentence(value)}"
            for key, value in data.items()
        ]
        return "; ".join(parts)
    if isinstance(data, list):
        return "; ".join(_sentence(item) for item in data)
    return str(data)
