"""Request bodies as text or plain values, and the words a request says about itself."""

from __future__ import annotations

from typing import IO, Any

from django.utils import timezone
from rest_framework import exceptions
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from orchestrator.api.errors import BodyTooLarge, BodyUnreadable
from orchestrator.manifests import documents
from orchestrator.manifests.manifest import Manifest, from_object
from orchestrator.manifests.problems import ManifestInvalid
from orchestrator.operations import accounts
from orchestrator.operations.events import Change

TRUE = {"1", "true", "yes"}
LARGEST_ID = 2**63 - 1


class _TextParser(BaseParser):
    """Hands the raw body on; what is in it is read strictly by the manifests package."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        """Return the body.

        Raises:
            BodyTooLarge: it has more than 1 MiB.
        """
        del media_type, parser_context
        body = stream.read(documents.MAX_BYTES + 1)
        if len(body) > documents.MAX_BYTES:
            raise BodyTooLarge
        return body


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
    via = accounts.via_of(request.user)
    return Change(actor=str(request.user), now=timezone.now(), reason=reason, via=via)


def text_of(request: Request) -> bytes:
    """Return the raw body."""
    body: Any = request.data
    return body if isinstance(body, bytes) else b""


def value_of(request: Request) -> Any:
    """Return the one JSON or YAML document of the body; an empty body is an empty object.

    Raises:
        BodyUnreadable: it is neither, or there is more than one.
    """
    try:
        found = documents.load(text_of(request))
    except ManifestInvalid as error:
        raise BodyUnreadable(error.problems) from None
    if len(found) > 1:
        raise exceptions.ParseError("the body must hold one document")
    return found[0].value if found else {}


def object_of(request: Request) -> dict[str, Any]:
    """Return the body as an object.

    Raises:
        ParseError: it is something else.
    """
    value = value_of(request)
    if not isinstance(value, dict):
        raise exceptions.ParseError("the body must be an object, such as {}")
    return value


def words_of(request: Request, shape: type[Serializer[Any]]) -> dict[str, Any]:
    """Return the checked fields of a body that is an object.

    Raises:
        ParseError: it holds a field that nobody knows.
        ValidationError: a field is missing or wrong.
    """
    value = object_of(request)
    serializer = shape(data=value)
    if unknown := sorted(str(key) for key in value if key not in serializer.fields):
        known = ", ".join(serializer.fields)
        raise exceptions.ParseError(f'unknown field "{unknown[0][:40]}"; there are: {known}')
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def deployment_in(namespace: str, value: dict[str, Any], name: str = "") -> Manifest:
    """Return the manifest of a deployment sent to an address (see `manifest_in`)."""
    return manifest_in("Deployment", namespace, value, name)


def manifest_in(kind: str, namespace: str, value: dict[str, Any], name: str = "") -> Manifest:
    """Return the manifest of one kind sent to an address; what it names must be that.

    Raises:
        ParseError: it is of something else, or of something somewhere else.
        ManifestInvalid: it is not valid.
    """
    if value.get("kind", kind) != kind:
        raise exceptions.ParseError(f"only manifests of kind {kind} can be sent here")
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        for key, wanted in (("namespace", namespace), ("name", name)):
            stated = metadata.get(key) or wanted
            if wanted and stated != wanted:
                raise exceptions.ParseError(
                    f"metadata.{key} is {stated!r} in the manifest and {wanted!r} in the address"
                )
            if stated:
                metadata[key] = stated
    return from_object(value)


def is_asked(request: Request, name: str) -> bool:
    """Tell whether a switch such as `?dry_run=true` is on."""
    return request.query_params.get(name, "").lower() in TRUE


def number_of(text: str, name: str, *, at_most: int = LARGEST_ID) -> int:
    """Return a count or id given as text.

    Raises:
        ParseError: it is not a whole number in range.
    """
    # Not isdigit(): it takes "²", which int() refuses; and int() refuses thousands of digits.
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or int(text) > at_most:
        raise exceptions.ParseError(
            f"{name}={text[:40]!r} is not a whole number from 0 to {at_most}"
        )
    return int(text)


def expected_generation(request: Request, value: dict[str, Any] | None = None) -> int | None:
    """Return the generation a change depends on: If-Match, `?generation=` or the body's field.

    Raises:
        ParseError: it is not a number.
    """
    stated = request.headers.get("If-Match") or request.query_params.get("generation")
    if stated is None and value is not None:
        stated = value.get("generation")
    if stated is None or stated == "*":
        return None
    return number_of(str(stated).removeprefix("W/").strip('" '), "generation")
