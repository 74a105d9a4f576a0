"""Users over HTTP, for administrators."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import change_of, words_of
from orchestrator.api.views import Answer, ChangingView, ListView, refuse_key
from orchestrator.operations import users
from orchestrator.operations.accounts import Role
from orchestrator.queries import accounts as queries


class UserShape(serializers.Serializer[Any]):
    """A user; without a role one may log in and see nothing."""

    name = fields.CharField()
    role = fields.ChoiceField([*Role, ""])
    active = fields.BooleanField()
    last_login = fields.DateTimeField(allow_null=True)
    tokens = fields.IntegerField()


class NewUserShape(serializers.Serializer[Any]):
    """Who is to be made; without a password one is generated."""

    name = fields.CharField(max_length=150)
    role = fields.ChoiceField(list(Role))
    active = fields.BooleanField(default=True)
    password = fields.CharField(required=False, max_length=256, trim_whitespace=False)


class MadeUserShape(UserShape):
    """A user made just now; `password` is the generated one, shown only here."""

    password = fields.CharField(allow_null=True)


class UserChangeShape(serializers.Serializer[Any]):
    """What is to change."""

    role = fields.ChoiceField(list(Role), required=False)
    active = fields.BooleanField(required=False)


class PasswordShape(serializers.Serializer[Any]):
    """A generated password, shown only here."""

    name = fields.CharField()
    password = fields.CharField()


class Users(ChangingView, ListView):
    """Users."""

    @extend_schema(responses=UserShape(many=True))
    def get(self, request: Request) -> Response:
        """List users."""
        del request
        return self.page(queries.users(), UserShape)

    @extend_schema(request=NewUserShape, responses={201: MadeUserShape})
    def post(self, request: Request) -> Response:
        """Create a user; the answer holds the generated password, once."""
        refuse_key(request)
        words = words_of(request, NewUserShape)
        words["role"] = Role(words["role"])
        password = users.create(change=change_of(request), **words)
        return Response({**_shown(words["name"]), "password": password}, status=201)


class User(ChangingView):
    """One user."""

    @extend_schema(responses=UserShape)
    def get(self, request: Request, name: str) -> Response:
        """Return the user."""
        del request
        return Response(_shown(name))

    @extend_schema(request=UserChangeShape, responses=UserShape)
    def patch(self, request: Request, name: str) -> Response:
        """Change the role, or whether the user is active; somebody inactive is out at once."""
        words = words_of(request, UserChangeShape)
        role = Role(words["role"]) if "role" in words else None

        def make() -> Answer:
            users.alter(name, change_of(request), role=role, active=words.get("active"))
            return _shown(name), 200

        return self.change(request, make)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, name: str) -> Response:
        """Remove the user with all their tokens; what they did stays in the events."""

        def make() -> Answer:
            users.remove(name, change_of(request))
            return None, 204

        return self.change(request, make)


class Password(ChangingView):
    """A forgotten password."""

    @extend_schema(request=None, responses=PasswordShape)
    def post(self, request: Request, name: str) -> Response:
        """Generate a new password, shown once; the user's login sessions end."""
        refuse_key(request)
        password = users.generate_password(name, change_of(request))
        return Response({"name": name, "password": password})


def _shown(name: str) -> dict[str, Any]:
    record = queries.get(name)
    if record is None:
        raise users.UserNotFound(name)
    return dict(UserShape(record).data)
