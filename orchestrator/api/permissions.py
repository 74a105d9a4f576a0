"""Who may do what: the one table of roles, for every address of the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib.auth.models import User
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from orchestrator.operations.accounts import Role, role_of

if TYPE_CHECKING:
    # DRF's views import their settings, which import this file.
    from rest_framework.views import APIView

_RANK = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The lowest role that may look at an address, and the lowest that may change it."""

    look: Role = Role.VIEWER
    change: Role = Role.OPERATOR


_USUAL = Access()
_ADMIN = Access(change=Role.ADMIN)

# By the name of the address in urls.py. An address that is not here is closed to everybody.
TABLE = {
    "apply": _USUAL,
    "deployments": _USUAL,
    "namespaces": _USUAL,
    "namespace": _USUAL,
    "namespace-deployments": _USUAL,
    "deployment": _USUAL,
    "deployment-manifest": _USUAL,
    "deployment-scale": _USUAL,
    "deployment-rollback": _USUAL,
    "deployment-pause": _USUAL,
    "deployment-resume": _USUAL,
    "deployment-restart": _USUAL,
    "deployment-revisions": _USUAL,
    "deployment-replicas": _USUAL,
    "deployment-events": _USUAL,
    "replicas": _USUAL,
    "replica": _USUAL,
    "replica-retry": _USUAL,
    "replica-logs": _USUAL,
    "replica-exec": _USUAL,
    "nodes": _USUAL,
    "node": _USUAL,
    "node-cordon": _ADMIN,
    "node-uncordon": _ADMIN,
    "jobs": _USUAL,
    "events": _USUAL,
    "event": _USUAL,
}


def may(user: object, needed: Role) -> bool:
    """Tell whether somebody has a role or a higher one."""
    held = role_of(user) if isinstance(user, User) else None
    return held is not None and _RANK[held] >= _RANK[needed]


def needed_role(address: str, method: str) -> Role | None:
    """Return the lowest role that may do this; None when nobody may."""
    access = TABLE.get(address)
    if access is None:
        return None
    return access.look if method in SAFE_METHODS else access.change


class RolePermission(BasePermission):
    """Asks the table."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the request may go on."""
        del view
        match = request.resolver_match
        address = (match.url_name if match is not None else None) or ""
        needed = needed_role(address, str(request.method))
        self.message = f"this needs the role {needed}" if needed else "this is open to nobody"
        return needed is not None and may(request.user, needed)
