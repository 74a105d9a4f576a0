"""How the OpenAPI document describes what drf-spectacular cannot know."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from orchestrator.operations import command_runs, commands

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
_EXEC = "/api/v1/replicas/{uid}/exec/"
_FORWARD = "/api/v1/replicas/{uid}/forward/"
_SEND = "/api/v1/replicas/{uid}/forward/send/"
_BYTES: Json = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_UID: Json = {"in": "path", "name": "uid", "schema": {"type": "string"}, "required": True}
_SECURITY: list[Json] = [{"bearer": []}, {"cookieAuth": []}]
_COMMAND: Json = {
    "type": "object",
    "description": "A program and its arguments (at most 8 KiB), and its seconds.",
    "required": ["command"],
    "properties": {
        "command": {
            "type": "array",
            "minItems": 1,
            "maxItems": commands.MAX_WORDS,
            "items": {"type": "string", "minLength": 1},
        },
        "timeout_seconds": {
            "type": "integer",
            "minimum": 1,
            "maximum": commands.MAX_SECONDS,
            "default": commands.USUAL_SECONDS,
        },
    },
}
_COMMAND_OUTPUT: Json = {
    "type": "object",
    "description": "Some output of a command.",
    "required": ["stream", "text"],
    "properties": {
        "stream": {"type": "string", "enum": ["stdout", "stderr"]},
        "text": {"type": "string"},
    },
}
_COMMAND_ENDING: Json = {
    "type": "object",
    "description": "How a command ended, in one sentence; its code is null unless it exited.",
    "required": ["outcome", "exit_code", "message"],
    "properties": {
        "outcome": {"type": "string", "enum": list(command_runs.OUTCOMES)},
        "exit_code": {"type": "integer", "nullable": True},
        "message": {"type": "string"},
    },
}
_CHANGES = {"post", "put", "patch", "delete"}
# What these answer is not kept: output, bytes, or a secret that is shown once.
_KEYLESS = {
    (_EXEC, "post"),
    (_FORWARD, "post"),
    (_SEND, "post"),
    ("/api/v1/tokens/", "post"),
    ("/api/v1/users/", "post"),
    ("/api/v1/users/{name}/password/", "post"),
}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes bearer tokens."""

    target_class = "orchestrator.api.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """Return the security scheme."""
        del auto_schema
        return {"type": "http", "scheme": "bearer"}


def complete(result: Json, **_: object) -> Json:
    """Add problems, idempotency keys and what is streamed to the document (spectacular's hook)."""
    schemas = result["components"]["schemas"]
    schemas["Problem"] = _PROBLEM
    schemas["Command"] = _COMMAND
    schemas["CommandOutput"] = _COMMAND_OUTPUT
    schemas["CommandEnding"] = _COMMAND_ENDING
    result["paths"][_LOGS] = {"get": _logs_operation()}
    result["paths"][_EXEC] = {"post": _exec_operation()}
    result["paths"][_FORWARD] = {"post": _forward_operation()}
    result["paths"][_SEND] = {"post": _send_operation()}
    result["paths"] = dict(sorted(result["paths"].items()))
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            operation["responses"]["default"] = _ANY_PROBLEM
            if method in _CHANGES and (path, method) not in _KEYLESS:
                operation.setdefault("parameters", []).append(_KEY)
    return result


def _logs_operation() -> Json:
    switches = (
        ("follow", {"type": "boolean"}, "lines to come, until the client leaves"),
        ("previous", {"type": "boolean"}, "what was kept of the latest run that ended"),
        ("tail", {"type": "string", "default": "200"}, "how many lines, or all"),
    )
    asked = [
        {"in": "query", "name": name, "schema": schema, "description": words}
        for name, schema, words in switches
    ]
    return {
        "operationId": "replicas_logs_retrieve",
        "description": "Stream a replica's log.",
        "parameters": [*asked, _UID],
        "tags": ["replicas"],
        "security": _SECURITY,
        "responses": {
            "200": {
                "description": "One line each.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            }
        },
    }


def _exec_operation() -> Json:
    shape = {"schema": {"$ref": "#/components/schemas/Command"}}
    either = [
        {"$ref": f"#/components/schemas/{name}"} for name in ("CommandOutput", "CommandEnding")
    ]
    return {
        "operationId": "replicas_exec_create",
        "description": "Run a command in a replica, without input; it ends when the client leaves.",
        "parameters": [_UID],
        "tags": ["replicas"],
        "security": _SECURITY,
        "requestBody": {"content": {"application/json": shape}, "required": True},
        "responses": {
            "200": {
                "description": "One object a line: output as it comes, at last how it ended.",
                "content": {"application/x-ndjson": {"schema": {"oneOf": either}}},
            }
        },
    }


def _forward_operation() -> Json:
    port = {"type": "integer", "minimum": 1, "maximum": 65535}
    shape = {"type": "object", "required": ["port"], "properties": {"port": port}}
    name = "by this name bytes are sent into the connection"
    return {
        "operationId": "replicas_forward_create",
        "description": "Connect to a TCP port of a replica; it ends when the client leaves.",
        "parameters": [_UID],
        "tags": ["replicas"],
        "security": _SECURITY,
        "requestBody": {"content": {"application/json": {"schema": shape}}, "required": True},
        "responses": {
            "200": {
                "description": "What the replica sends, as it comes.",
                "headers": {
                    "Kijabi-Connection": {"schema": {"type": "string"}, "description": name}
                },
                "content": _BYTES,
            }
        },
    }


def _send_operation() -> Json:
    asked = [
        {"in": "query", "name": "connection", "schema": {"type": "string"}, "required": True},
        {
            "in": "query",
            "name": "end",
            "schema": {"type": "boolean"},
            "description": "nothing more will come",
        },
    ]
    return {
        "operationId": "replicas_forward_send_create",
        "description": "Send bytes (at most 1 MiB) into a connection, after those sent before.",
        "parameters": [*asked, _UID],
        "tags": ["replicas"],
        "security": _SECURITY,
        "requestBody": {"content": _BYTES},
        "responses": {"204": {"description": "They are on their way."}},
    }
