"""Who may do what: the one place that says so, for the API and the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from orchestrator.operations.accounts import Role, role_of

if TYPE_CHECKING:
    # DRF's views import their settings, which import this file.
    from rest_framework.views import APIView

_RANK = {role: rank for rank, role in enumerate(Role)}


def may(user: User, needed: Role) -> bool:
    """Tell whether a user has a role or a higher one."""
    held = role_of(user)
    return held is not None and _RANK[held] >= _RANK[needed]


class RolePermission(BasePermission):
    """Reading needs viewer; changing needs operator, or the view's `write_role`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the request may go on."""
        write_role = getattr(view, "write_role", Role.OPERATOR)
        needed = Role.VIEWER if request.method in SAFE_METHODS else write_role
        self.message = f"this needs the role {needed}"
        return isinstance(request.user, User) and may(request.user, needed)
