"""Pages of services, their routes, and the gateways that carry them out."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from orchestrator.manifests import deployment as manifests
from orchestrator.queries import gateways, ingresses, metrics, services
from webui import presenters
from webui.pages import found, page, paged, show, wanted
from webui.usage import figures_of, service_charts, span_of


@page("services")
def service_list(request: HttpRequest) -> HttpResponse:
    """List services with who is in rotation, and the hosts that lead to them."""
    filters = wanted(request, "search", "namespace")
    context = {
        "page": paged(request, services.select(filters, confirmed=False)),
        "paths": ingresses.paths({}),
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
        **_requests(namespace, name),
    }
    return show(request, "service", context)


def _requests(namespace: str, name: str) -> dict[str, object]:
    """Return what the gateways counted of a service, and its latest figures."""
    points = metrics.of_service(namespace, name, span_of("15m", timezone.now()))
    return {
        "charts": service_charts(points),
        "latest": figures_of(points[-1]) if points else None,
    }


@page("gateways")
def gateway_list(request: HttpRequest) -> HttpResponse:
    """List what routes on each node: up to which generation, and what it cannot do."""
    context = {
        "page": paged(request, gateways.select(), 100),
        "latest": gateways.latest_generation(),
    }
    return show(request, "gateways", context)
