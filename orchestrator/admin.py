"""A read-only look into the tables, for the curious; every change goes through the operations."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
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


@admin.register(models.ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens by their beginning."""

    list_display = ("name", "prefix", "user", "role", "created_at", "expires_at", "used_at")
    exclude = ("digest",)


class UserAdmin(ReadOnlyAdmin):
    """Users without their passwords; Django's own form would change them past the audit."""

    list_display = ("username", "is_superuser", "is_active", "last_login")
    exclude = ("password",)


admin.site.unregister([User, Group])
admin.site.register(User, UserAdmin)


COLUMNS = {
    models.Namespace: ("name", "deleting", "created_at"),
    models.Deployment: ("__str__", "phase", "replicas", "revision", "generation", "settled"),
    models.Revision: ("deployment", "number", "desired", "author", "created_at", "completed_at"),
    models.Replica: ("uid", "deployment", "slot", "node", "phase", "ready", "reason"),
    models.Node: ("name", "state", "cordoned", "seen_at"),
    models.Job: ("uid", "operation", "node", "replica_uid", "state", "attempts", "created_at"),
    models.Rebalance: ("id", "asked_by", "asked_at", "ended_at", "cancelled"),
    models.RebalanceMove: ("rebalance", "name", "replica", "source", "target", "state"),
    models.Event: ("id", "at", "reason", "severity", "actor", "via", "message"),
}
FOLLOWED = {
    models.Revision: ("deployment",),
    models.Replica: ("deployment", "node"),
    models.Job: ("node",),
    models.RebalanceMove: ("rebalance",),
}

for model, columns in COLUMNS.items():
    options = {"list_display": columns, "list_select_related": FOLLOWED.get(model, ())}
    admin.site.register(model, type(f"{model.__name__}Admin", (ReadOnlyAdmin,), options))
