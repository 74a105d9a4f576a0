"""Asks the table of roles for every address of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from orchestrator.operations.access import TABLE, may, needed_role

if TYPE_CHECKING:
    # DRF's views import their settings, which import this file.
    from rest_framework.views import APIView

__all__ = ["TABLE", "RolePermission", "may", "needed_role"]


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
