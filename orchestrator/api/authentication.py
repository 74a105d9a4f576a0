"""Bearer tokens."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from orchestrator.operations import tokens


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer TOKEN`."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        """Return the token's user; None when there is no bearer token at all.

        Raises:
            AuthenticationFailed: the token is unknown, expired, or its user is inactive.
        """
        word, _, token = request.headers.get("Authorization", "").partition(" ")
        if word.lower() != "bearer":
            return None
        user = tokens.user_of_token(token.strip(), now=timezone.now())
        if user is None:
            raise AuthenticationFailed("the API token is unknown, expired or revoked")
        return user, token

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 answer says is wanted."""
        del request
        return "Bearer"
