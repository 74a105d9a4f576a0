"""Name the services of a namespace to its replicas, by the variables Kubernetes sets."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.models import Service

Variables = tuple[tuple[str, str], ...]


def variables(namespace: str) -> Variables:
    """Return the variables of every service with an address (two queries).

    `WEB_SERVICE_HOST` and `WEB_SERVICE_PORT` first of all, `WEB_SERVICE_PORT_HTTP` for a port with
    a name, and the older `WEB_PORT_80_TCP…` besides.
    """
    rows = Service.objects.filter(namespace__name=namespace).exclude(address=None)
    return tuple(
        pair for service in rows.prefetch_related("ports") for pair in _variables_of(service)
    )


def _variables_of(service: Service) -> Iterator[tuple[str, str]]:
    name, host = _upper(service.name), str(service.address)
    yield f"{name}_SERVICE_HOST", host
    for index, port in enumerate(service.ports.all()):
        word = port.protocol.lower()
        if index == 0:
            yield f"{name}_SERVICE_PORT", str(port.number)
            yield f"{name}_PORT", f"{word}://{host}:{port.number}"
        if port.name:
            yield f"{name}_SERVICE_PORT_{_upper(port.name)}", str(port.number)
        link = f"{name}_PORT_{port.number}_{port.protocol}"
        yield link, f"{word}://{host}:{port.number}"
        yield f"{link}_PROTO", word
        yield f"{link}_PORT", str(port.number)
        yield f"{link}_ADDR", host


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")
