"""API tokens over HTTP: everybody's own; administrators may look at and revoke all."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import LARGEST_ID, change_of, words_of
from orchestrator.api.views import Answer, ChangingView, ListView, refuse_key
from orchestrator.operations import accounts, tokens, users
from orchestrator.operations.accounts import Role
from orchestrator.queries import accounts as queries

_USER = OpenApiParameter("user", description="whose; empty for everybody's (administrators)")


class TokenShape(serializers.Serializer[Any]):
    """An API token; `role` is the most it allows, empty for as much as its user may do."""

    id = fields.IntegerField()
    user = fields.CharField()
    name = fields.CharField()
    prefix = fields.CharField()
    role = fields.ChoiceField([*Role, ""])
    created_at = fields.DateTimeField()
    used_at = fields.DateTimeField(allow_null=True)
    expires_at = fields.DateTimeField(allow_null=True)


class NewTokenShape(serializers.Serializer[Any]):
    """What a token is for, the most it is to allow, and how long it lives."""

    name = fields.CharField(max_length=tokens.LONGEST_NAME)
    role = fields.ChoiceField(list(Role), required=False, allow_null=True)
    days = fields.IntegerField(
        min_value=1, max_value=tokens.LONGEST_DAYS, default=tokens.USUAL_DAYS
    )


class MadeTokenShape(TokenShape):
    """A token made just now; `token` is its text, shown only here."""

    token = fields.CharField()


class Tokens(ChangingView, ListView):
    """One's own tokens."""

    @extend_schema(parameters=[_USER], responses=TokenShape(many=True))
    def get(self, request: Request) -> Response:
        """List one's own tokens, newest first; administrators may ask for those of others."""
        return self.page(queries.tokens_of(_whose(request)), TokenShape)

    @extend_schema(request=NewTokenShape, responses={201: MadeTokenShape})
    def post(self, request: Request) -> Response:
        """Make a token for oneself; the answer holds its text, once."""
        refuse_key(request)
        words = words_of(request, NewTokenShape)
        role = Role(words["role"]) if words.get("role") else None
        made = tokens.make(
            _asker(request), words["name"], change_of(request), role=role, days=words["days"]
        )
        shown = TokenShape(queries.token(made.id)).data
        return Response({**shown, "token": made.text}, status=201)


class Token(ChangingView):
    """One token."""

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Revoke the token: it stops at once."""
        if pk > LARGEST_ID:
            raise tokens.TokenNotFound(pk)

        def make() -> Answer:
            tokens.revoke(_asker(request), pk, change_of(request))
            return None, 204

        return self.change(request, make)


def _whose(request: Request) -> str | None:
    """Return whose tokens are asked for; None for everybody's.

    Raises:
        PermissionDenied: they are somebody else's, and whoever asks is no administrator.
        UserNotFound: there is no such user.
    """
    asker = _asker(request)
    own = asker.get_username()
    name = request.query_params.get("user", own)
    if name == own:
        return own
    if accounts.role_of(asker) is not Role.ADMIN:
        raise exceptions.PermissionDenied(
            "the tokens of others need the role admin; leave ?user= out to see your own"
        )
    if name and queries.get(name) is None:
        raise users.UserNotFound(name)
    return name or None


def _asker(request: Request) -> User:
    user = request.user
    if not isinstance(user, User):
        raise exceptions.NotAuthenticated
    return user
