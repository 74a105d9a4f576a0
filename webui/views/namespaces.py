"""The page of namespaces, and the end of one."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from orchestrator.operations import namespaces
from orchestrator.queries import namespaces as queries
from webui.pages import Mistyped, act, change, page, paged, show


@page("namespaces")
def namespace_list(request: HttpRequest) -> HttpResponse:
    """List namespaces, and who may reach their replicas directly."""
    return show(request, "namespaces", {"page": paged(request, queries.select(), 100)})


@act("namespace", "DELETE")
def delete(request: HttpRequest, name: str) -> str:
    """Delete a namespace that nothing lives in."""
    if not namespaces.delete(name, change(request)):
        raise Mistyped(_("There is no namespace %(name)s. Nothing was done.") % {"name": name})
    return _("namespace %(name)s is deleted") % {"name": name}
