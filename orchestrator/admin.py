"""A read-only look into the tables, for the curious; every change goes through the operations."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from orchestrator import models


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows rows and changes none."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse."""
        del request, obj
        return False


for model in (
    models.Namespace,
    models.Deployment,
    models.Revision,
    models.Replica,
    models.Node,
    models.Job,
    models.Event,
):
    admin.site.register(model, ReadOnlyAdmin)
