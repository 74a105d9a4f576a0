"""Pages of services, their routes, and the gateways that carry them out."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.manifests import deployment as manifests
from orchestrator.operations import ingresses as ingress_operations
from orchestrator.operations import secrets as secret_operations
from orchestrator.operations import services as service_operations
from orchestrator.operations.stored import Store
from orchestrator.queries import gateways, ingresses, metrics, services
from webui import presenters
from webui.pages import Mistyped, act, change, found, page, paged, show, wanted
from webui.usage import figures_of, service_charts, span_of

MOST_SECRETS = 100


@page("services")
def service_list(request: HttpRequest) -> HttpResponse:
    """List services with who is in rotation, and the hosts that lead to them."""
    filters = wanted(request, "search", "namespace")
    context = {
        "page": paged(request, services.select(filters, confirmed=False)),
        "paths": ingresses.paths({}),
        "secrets": ingresses.select_secrets({})[:MOST_SECRETS],
        "filters": filters,
    }
    return show(request, "services", context)


@page("service")
def service(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Show one service: its addresses, and every replica it selects with why it is in or out."""
    sentence = f'service "{name}" does not exist in namespace "{namespace}"'
    record = found(services.get(namespace, name), sentence)
    leading = [
        (ingress, rule)
        for ingress, rule in ingresses.paths({"namespace": namespace})
        if rule.service == name
    ]
    context = {
        "service": record,
        "look": presenters.of_service(record),
        "leading": leading,
        "manifest": manifests.to_yaml(manifests.in_order(record.written)),
        **(_requests(namespace, name) if leading else {"charts": []}),
    }
    return show(request, "service", context)


def _requests(namespace: str, name: str) -> dict[str, object]:
    """Return what the gateways counted of a service, and its latest figures."""
    points = metrics.of_service(namespace, name, span_of("15m", timezone.now()))
    return {
        "charts": service_charts(points),
        "latest": figures_of(points[-1]) if points else None,
    }


@page("ingress")
def ingress(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Show one ingress: its hosts and paths, and where each leads."""
    sentence = f'ingress "{name}" does not exist in namespace "{namespace}"'
    record = found(ingresses.get(namespace, name), sentence)
    written = ingresses.manifest_of(namespace, name, written=True) or {}
    context = {
        "ingress": record,
        "look": presenters.of_ingress(record),
        "manifest": manifests.to_yaml(written),
    }
    return show(request, "ingress", context)


@act("service", "DELETE")
def delete_service(request: HttpRequest, namespace: str, name: str) -> str:
    """Delete a service, when its name was typed."""
    return _delete(service_operations.STORE, request, namespace, name)


@act("ingress", "DELETE")
def delete_ingress(request: HttpRequest, namespace: str, name: str) -> str:
    """Delete an ingress, when its name was typed."""
    return _delete(ingress_operations.STORE, request, namespace, name)


@act("secret", "DELETE")
def delete_secret(request: HttpRequest, namespace: str, name: str) -> str:
    """Delete a certificate that no ingress is served with."""
    secret_operations.STORE.delete(namespace, name, change(request))
    return _("%(name)s is deleted") % {"name": name}


def _delete(store: Store[Any], request: HttpRequest, namespace: str, name: str) -> str:
    if request.POST.get("typed", "").strip() != name:
        raise Mistyped(
            _("Type the name, %(name)s, to delete it. Nothing was done.") % {"name": name}
        )
    store.delete(namespace, name, change(request))
    return _("%(name)s is deleted") % {"name": name}


@page("gateways")
def gateway_list(request: HttpRequest) -> HttpResponse:
    """List what routes on each node: up to which generation, and what it cannot do."""
    context = {
        "page": paged(request, gateways.select(), 100),
        "latest": gateways.latest_generation(),
    }
    return show(request, "gateways", context)
