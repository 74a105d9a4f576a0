"""What every view shares: clean words, lists in pages, and changes that may be repeated safely."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from orchestrator.api.bodies import TEXT_PARSERS, text_of
from orchestrator.api.errors import KeyReused
from orchestrator.api.pagination import PageNumbers
from orchestrator.operations import answers
from orchestrator.queries.rows import Rows

REPLAYED = "Idempotent-Replayed"
LONGEST_KEY = 255
Answer = tuple[Any, int]


class ApiView(APIView):
    """A view whose address and query hold no character that a database refuses."""

    parser_classes = TEXT_PARSERS

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Return the request as REST framework wants it."""
        if "Transfer-Encoding" in request.headers and not request.META.get("CONTENT_LENGTH"):
            # A chunked body states no length, and REST framework takes that for no body at all.
            request.META["CONTENT_LENGTH"] = "1"
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check who asks and what for.

        Raises:
            ParseError: a word holds a NUL, which PostgreSQL cannot store or compare.
        """
        super().initial(request, *args, **kwargs)
        words = [*kwargs.values(), *request.query_params.values()]
        if any("\x00" in str(word) for word in words):
            raise exceptions.ParseError("the address holds a NUL character")


class ListView(ApiView):
    """A view of many rows: filtered by words in the query, in pages."""

    pagination_class = PageNumbers

    # Which words filter, and what each may be (empty: anything).
    filters: Mapping[str, Sequence[str]] = {}

    def wanted(self, request: Request) -> dict[str, str]:
        """Return the filters that were asked for.

        Raises:
            ParseError: a filter has a value that nothing can ever have.
        """
        found = {key: request.query_params.get(key, "") for key in self.filters}
        for key, value in found.items():
            known = self.filters[key]
            if value and known and value not in known:
                raise exceptions.ParseError(f"{key}={value!r} is not one of {', '.join(known)}")
        return found

    def page(self, rows: Rows[Any] | list[Any], shape: type[Serializer[Any]]) -> Response:
        """Return the page that was asked for."""
        paginator = self.pagination_class()
        # Rows counts and slices, which is all the paginator wants of a queryset.
        countable: Any = rows
        found: list[Any] | None = paginator.paginate_queryset(countable, self.request, view=self)
        return paginator.get_paginated_response(shape(found or [], many=True).data)


class ChangingView(ApiView):
    """A view whose changes may be repeated safely with an `Idempotency-Key`.

    Answer and effect are saved in one transaction, so neither exists without the other. Only
    successes are kept: a request that was refused or failed has changed nothing, and sent again
    with the same key it is tried again (as Stripe's second API does). A key belongs to one user,
    lives for a day, and stands for one request: method, address, precondition and body. Of two
    at once the second waits for the first and gets its answer.
    """

    def change(self, request: Request, make: Callable[[], Answer]) -> Response:
        """Run `make()`, once for its key; it returns the body and status of the answer.

        Raises:
            KeyReused: the key stands for another request.
        """
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return _answer(*make())
        if len(key) > LONGEST_KEY:
            raise exceptions.ParseError(
                f"an Idempotency-Key has at most {LONGEST_KEY} characters, this has {len(key)}"
            )
        digest = _digest(request)
        with transaction.atomic():
            kept, is_new = answers.claim(request.user, key, digest, now=timezone.now())
            if kept.request_digest != digest:
                raise KeyReused
            if not is_new:
                return _answer(kept.body, kept.status, {REPLAYED: "true"})
            body, status = make()
            answers.keep(kept, status=status, body=body)
        return _answer(body, status)


def refuse_key(request: Request) -> None:
    """Refuse an `Idempotency-Key` where the answer holds a secret: kept answers can be read.

    Raises:
        ParseError: there is one.
    """
    if "Idempotency-Key" in request.headers:
        raise exceptions.ParseError(
            "no Idempotency-Key can be used here: a secret is shown once and not kept"
        )


def checked(plain: HttpRequest, methods: set[str]) -> Request:
    """Return the request of a view that is not REST framework's, after asking the same questions.

    Raises:
        MethodNotAllowed: the address does not know its method.
        NotAuthenticated: nobody asks.
        PermissionDenied: whoever asks may not, or a login came without its CSRF token.
    """
    view = ApiView()
    request = view.initialize_request(plain)
    if request.method not in methods:
        raise exceptions.MethodNotAllowed(str(request.method))
    view.perform_authentication(request)
    view.check_permissions(request)
    return request


def _answer(body: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response; the ETag of what has a generation is that generation."""
    tagged = dict(headers or {})
    if isinstance(body, dict) and "generation" in body:
        tagged["ETag"] = f'"{body["generation"]}"'
    return Response(body, status=status, headers=tagged)


def _digest(request: Request) -> str:
    words = (str(request.method), request.get_full_path(), request.headers.get("If-Match", ""))
    text = "\n".join(words).encode("utf-8", "surrogatepass") + b"\n" + text_of(request)
    return hashlib.sha256(text).hexdigest()
