"""Request bodies as text or plain values, and what every changing view shares."""

from __future__ import annotations

import hashlib
from typing import IO, Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.errors import KeyReused
from orchestrator.manifests import documents
from orchestrator.manifests.manifest import Manifest, from_object
from orchestrator.operations import answers
from orchestrator.operations.events import Change

REPLAYED = "Idempotent-Replayed"


class _TextParser(BaseParser):
    """Hands the raw body on; what is in it is read strictly by the manifests package."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        """Return the body."""
        del media_type, parser_context
        body = stream.read(documents.MAX_BYTES + 1)
        if len(body) > documents.MAX_BYTES:
            raise TooLarge
        return body


class TooLarge(exceptions.APIException):
    """The body is larger than a manifest may be."""

    status_code = 413
    default_detail = "the body has more than 1 MiB"


def _parser(name: str, kind: str) -> type[BaseParser]:
    return type(name, (_TextParser,), {"media_type": kind})


TEXT_PARSERS: list[type[BaseParser]] = [
    _parser("YamlParser", "application/yaml"),
    _parser("OldYamlParser", "application/x-yaml"),
    _parser("TextYamlParser", "text/yaml"),
    _parser("JsonTextParser", "application/json"),
    _parser("MergePatchParser", "application/merge-patch+json"),
    _parser("PlainParser", "text/plain"),
]


def change_of(request: Request, reason: str = "") -> Change:
    """Return who changes something, now."""
    return Change(actor=str(request.user), now=timezone.now(), reason=reason)


def text_of(request: Request) -> bytes:
    """Return the raw body."""
    body: Any = request.data
    return body if isinstance(body, bytes) else b""


def value_of(request: Request) -> Any:
    """Return the one JSON or YAML document of the body; an empty body is an empty object.

    Raises:
        ManifestInvalid: it cannot be read.
        ParseError: there is more than one.
    """
    found = documents.load(text_of(request))
    if len(found) > 1:
        raise exceptions.ParseError("the body must hold one document")
    return found[0].value if found else {}


def manifest_in(namespace: str, value: Any) -> Manifest:
    """Return a manifest sent to a namespace's address; a namespace it names must be that one."""
    if isinstance(value, dict) and isinstance(value.get("metadata"), dict):
        named = value["metadata"].setdefault("namespace", namespace)
        if named != namespace:
            raise exceptions.ParseError(
                f'the manifest names namespace "{named}", the address "{namespace}"'
            )
    return from_object(value)


def expected_generation(request: Request, value: Any = None) -> int | None:
    """Return the generation a change depends on: If-Match, `?generation=` or the body's field."""
    stated = request.headers.get("If-Match") or request.query_params.get("generation")
    if stated is None and isinstance(value, dict):
        stated = value.get("generation")
    if stated is None or stated == "*":
        return None
    try:
        return int(str(stated).strip('W/" '))
    except ValueError:
        raise exceptions.ParseError(f"{stated!r} is not a generation; send a number") from None


class ChangingView(APIView):
    """A view whose changes may be repeated safely with an `Idempotency-Key`.

    The answer is kept in the same transaction as the effect, so neither exists without the other.
    Only successes are kept: a refused request changed nothing and may simply be sent again.
    """

    parser_classes = TEXT_PARSERS

    def dispatch(self, request: Any, *arguments: Any, **options: Any) -> Any:
        """Serve the request, or repeat the answer it got before."""
        key = request.headers.get("Idempotency-Key", "")
        if not key or request.method in {"GET", "HEAD", "OPTIONS"}:
            return super().dispatch(request, *arguments, **options)
        digest = hashlib.sha256(
            b"\n".join([request.method.encode(), request.get_full_path().encode(), request.body])
        ).hexdigest()
        self._key, self._digest = key[:255], digest
        try:
            return super().dispatch(request, *arguments, **options)
        except IntegrityError:
            # Another request with the same key was served at the same moment; its answer stands.
            return super().dispatch(request, *arguments, **options)

    _key = ""
    _digest = ""

    def change(self, request: Request, make: Any) -> Response:
        """Run `make()` once for its key; it returns the body and status of the answer."""
        if not self._key:
            body, status = make()
            return Response(body, status=status)
        with transaction.atomic():
            kept = answers.find(request.user, self._key)
            if kept is not None:
                if kept.request_digest != self._digest:
                    raise KeyReused
                return Response(kept.body, status=kept.status, headers={REPLAYED: "true"})
            body, status = make()
            answer = Response(body, status=status)
            answers.keep(
                request.user, self._key, self._digest, status=status, body=body, now=timezone.now()
            )
            return answer
