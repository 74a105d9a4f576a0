"""One table: what went wrong → HTTP status and an RFC 9457 problem."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import APIException, NotFound, ParseError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from orchestrator.manifests.node_change import NodeChangeInvalid
from orchestrator.manifests.problems import ManifestInvalid, Problem
from orchestrator.operations import (
    autoscalers,
    broker_users,
    command_runs,
    commands,
    deployments,
    draining,
    joining,
    log_reader,
    namespaces,
    node_marks,
    nodes,
    port_forwards,
    rebalancing,
    replica_counts,
    replicas,
    revisions,
    stored,
    tokens,
    users,
)
from orchestrator.operations.accounts import AccountMistake

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
DATABASE_RETRY_SECONDS = "2"
DatabaseProblem = (OperationalError, InterfaceError)

STATUSES: tuple[tuple[type[Exception], int, str], ...] = (
    (NodeChangeInvalid, 422, "The change is not valid"),
    (ManifestInvalid, 422, "The manifest is not valid"),
    (deployments.DeploymentNotFound, 404, "Not found"),
    (deployments.NamespaceNotFound, 404, "Not found"),
    (revisions.RevisionNotFound, 404, "Not found"),
    (nodes.NodeNotFound, 404, "Not found"),
    (nodes.NodeAlive, 409, "Not possible now"),
    (draining.DeadlineOutOfRange, 422, "Not a valid deadline"),
    (rebalancing.RebalanceRefused, 409, "Not possible now"),
    (node_marks.LabelFixed, 409, "Not possible"),
    (replicas.ReplicaNotFound, 404, "Not found"),
    (stored.ObjectNotFound, 404, "Not found"),
    (stored.ObjectExists, 409, "The name is taken"),
    (stored.ObjectConflict, 409, "Not possible"),
    (deployments.DeploymentExists, 409, "The name is taken"),
    (deployments.GenerationConflict, 409, "It was changed in the meantime"),
    (deployments.DeploymentBusy, 409, "Not possible now"),
    (replica_counts.OwnedByAutoscaler, 409, "Not possible now"),
    (autoscalers.AutoscalerNotFound, 404, "Not found"),
    (autoscalers.AutoscalerExists, 409, "The name is taken"),
    (autoscalers.AutoscalerChanged, 409, "It was changed in the meantime"),
    (autoscalers.CannotRename, 409, "Not possible"),
    (namespaces.NamespaceInUse, 409, "Not possible now"),
    (replicas.ReplicaNotRunning, 409, "Not possible now"),
    (joining.TokenUseless, 403, "Not allowed"),
    (joining.NameTaken, 409, "The name is taken"),
    (joining.CannotJoin, 422, "It cannot join"),
    (broker_users.NoOwnLogins, 503, "Not possible now"),
    (broker_users.BrokerAway, 503, "The broker does not answer"),
    (users.UserNotFound, 404, "Not found"),
    (tokens.TokenNotFound, 404, "Not found"),
    (tokens.TokenRefused, 403, "Not allowed"),
    (users.UserExists, 409, "The name is taken"),
    (users.LastAdministrator, 409, "Not possible now"),
    (AccountMistake, 422, "Not a valid account"),
    (RequestDataTooBig, 413, "The body is too large"),
    (SuspiciousOperation, 400, "Bad request"),
    (UnreadablePostError, 400, "Bad request"),
    (commands.CommandInvalid, 400, "Bad request"),
    (command_runs.BrokerUnavailable, 503, "The broker does not answer"),
    (command_runs.NodeSilent, 504, "The node does not answer"),
    (port_forwards.PortClosed, 502, "Nothing listens there"),
    (port_forwards.ConnectionUnknown, 404, "Not found"),
    (log_reader.BrokerDown, 503, "Service Unavailable"),
    (log_reader.NodeRefused, 502, "Bad Gateway"),
    (log_reader.NodeSilent, 504, "Gateway Timeout"),
    (OperationalError, 503, "The database does not answer"),
    (InterfaceError, 503, "The database does not answer"),
)


class KeyReused(APIException):
    """An Idempotency-Key came back with another request."""

    status_code = 422
    default_detail = "this Idempotency-Key was used for another request; use a fresh one"


class BodyTooLarge(APIException):
    """The body is larger than a manifest may be."""

    status_code = 413
    default_detail = "the body has more than 1 MiB"


class BodyUnreadable(ParseError):
    """The body is neither JSON nor YAML; `problems` say where it stops making sense."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(str(item) for item in problems))
        self.problems = problems


def problem_response(error: Exception, context: dict[str, Any]) -> Response:
    """Return the problem for any exception of a view (DRF's exception handler)."""
    known = exception_handler(error, context)
    if known is None:
        body, headers = _own(error)
        known = Response(body, status=body["status"], headers=headers)
    else:
        known.data = problem(known.status_code, known.status_text, _sentence(known.data))
    if request := context.get("request"):
        known.data["instance"] = request.path
    if isinstance(error, ManifestInvalid | BodyUnreadable):
        known.data["problems"] = [asdict(item) for item in error.problems]
    known.content_type = CONTENT_TYPE
    return known


def plain_response(error: Exception, request: HttpRequest) -> HttpResponse:
    """Return the problem for any exception of a view that is not DRF's."""
    answer = problem_response(error, {"request": request})
    plain = JsonResponse(answer.data, status=answer.status_code, content_type=CONTENT_TYPE)
    for name, value in answer.headers.items():
        if name != "Content-Type":
            plain[name] = value
    if plain.status_code == 401:
        plain["WWW-Authenticate"] = "Bearer"
    return plain


def problem(status: int, title: str, detail: str) -> dict[str, Any]:
    """Return the body of a problem."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}


@csrf_exempt
def not_found(request: HttpRequest) -> HttpResponse:
    """Answer an address below /api/ that leads nowhere; nothing is done, so no token is needed."""
    hint = "see /api/docs/"
    if not request.path.endswith("/"):
        try:
            if resolve(f"{request.path}/").func is not not_found:
                hint = f"did you mean {request.path}/ (addresses end with a slash)?"
        except Resolver404:
            pass
    return plain_response(NotFound(f"there is nothing at {request.path}; {hint}"), request)


def _own(error: Exception) -> tuple[dict[str, Any], dict[str, str]]:
    for kind, status, title in STATUSES:
        if isinstance(error, kind):
            if not issubclass(kind, DatabaseProblem):
                return problem(status, title, str(error)), {}
            logger.error("The database failed", exc_info=error)
            detail = "nothing was changed; try again in a moment"
            return problem(status, title, detail), {"Retry-After": DATABASE_RETRY_SECONDS}
    logger.error("A request failed", exc_info=error)
    return problem(500, "The server failed", "this is our mistake; the server's log says more"), {}


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
