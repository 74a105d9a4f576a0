"""How the OpenAPI document describes what drf-spectacular cannot know."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

Json = dict[str, Any]

_PROBLEM: Json = {
    "type": "object",
    "description": "What went wrong (RFC 9457); `problems` lists every fault of a manifest.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["message", "path", "line", "document"],
                "properties": {
                    "message": {"type": "string"},
                    "path": {"type": "string"},
                    "line": {"type": "integer", "nullable": True},
                    "document": {"type": "integer", "nullable": True},
                },
            },
        },
    },
}
_ANY_PROBLEM: Json = {
    "description": "Anything else is a problem.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_KEY: Json = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "maxLength": 255},
    "description": "The same key with the same request has one effect and one answer, for a day.",
}
_LOGS = "/api/v1/replicas/{uid}/logs/"
_CHANGES = {"post", "put", "patch", "delete"}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes bearer tokens."""

    target_class = "orchestrator.api.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return the security scheme."""
        del auto_schema
        return {"type": "http", "scheme": "bearer"}


def complete(result: Json, **_: object) -> Json:
    """Add problems, idempotency keys and the log stream to the document (spectacular's hook)."""
    result["components"]["schemas"]["Problem"] = _PROBLEM
    result["paths"][_LOGS] = {"get": _logs_operation()}
    result["paths"] = dict(sorted(result["paths"].items()))
    for operations in result["paths"].values():
        for method, operation in operations.items():
            operation["responses"]["default"] = _ANY_PROBLEM
            if method in _CHANGES:
                operation.setdefault("parameters", []).append(_KEY)
    return result


def _logs_operation() -> Json:
    switches = (
        ("follow", {"type": "boolean"}, "lines to come, until the client leaves"),
        ("previous", {"type": "boolean"}, "what was kept of the latest run that ended"),
        ("tail", {"type": "string", "default": "200"}, "how many lines, or all"),
    )
    uid = {"in": "path", "name": "uid", "schema": {"type": "string"}, "required": True}
    asked = [
        {"in": "query", "name": name, "schema": schema, "description": words}
        for name, schema, words in switches
    ]
    return {
        "operationId": "replicas_logs_retrieve",
        "description": "Stream a replica's log.",
        "parameters": [*asked, uid],
        "tags": ["replicas"],
        "security": [{"bearer": []}, {"cookieAuth": []}],
        "responses": {
            "200": {
                "description": "One line each.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            }
        },
    }
