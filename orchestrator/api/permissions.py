"""Asks the table of roles for every address of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from orchestrator.operations.access import TABLE, needed_role, why_not

if TYPE_CHECKING:
    # DRF's views import their settings, which import this file.
    from rest_framework.views import APIView

__all__ = ["TABLE", "RolePermission", "needed_role"]


class RolePermission(BasePermission):
    """Asks the table."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the request may go on."""
        del view
        match = request.resolver_match
        address = (match.url_name if match is not None else None) or ""
        self.message = why_not(request.user, address, str(request.method))
        return not self.message
