"""The configuration of the HTTP gateway: hosts and paths, certificates, retries. Pure.

Endpoints are not in it (see `upstreams`), so it changes only when an ingress does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from worker.gateway.access_log import END, FAILED, ROUTE
from worker.gateway.upstreams import name_of
from worker.routes import HttpRoute, IngressRoutes, PathMatch

# How long a look at who serves is believed: a change is in force after it. Asking takes Caddy long
# enough that four times as often cost a twelfth of all requests (`bench traffic`).
REFRESH_SECONDS = 0.025
# How long a request waits for somebody who takes it; none has been sent anywhere by then.
TRY_SECONDS = 5
TRY_EVERY = "25ms"
CONNECT = "1s"
# How long an old answer is believed each time that a question fails: better an old one than none.
# No longer, as Caddy does not ask again before: a client that leaves fails its question, too.
STALE_SECONDS = REFRESH_SECONDS
# What is idle for so long is closed before the server might close it, which no request should meet.
# A gateway on another node counts it as busy until then, so that the replica may not stop.
UPSTREAM_IDLE = "1s"
# A websocket outlives a change of the configuration by so long.
STREAM = "12h"
# Where nobody answers it would say so many times a second.
_NOISY = ("http.reverse_proxy.upstreams.srv",)
_Config = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the gateway of one node is given: ports, files, where names are answered.

    `routes_at` answers for names of routes, `ends_at` for those of who serves them. With an `acme`
    directory certificates of automatic hosts come from there.
    """

    admin: str
    http_port: int
    https_port: int
    storage: str
    access_log: str
    routes_at: str = ""
    ends_at: str = ""
    acme: str = ""
    acme_email: str = ""


def render(ingresses: Mapping[str, IngressRoutes], around: Surroundings) -> _Config:
    """Return Caddy's configuration for all ingresses."""
    entries = list(_ordered(ingresses.values()))
    secured = sorted({host for entry in ingresses.values() for host in _secured(entry)})
    routes = [_route(ingress, route, around) for ingress, route in entries]
    http: _Config = {"servers": {"http": _server(around.http_port, routes)}}
    config: _Config = {
        "admin": {"listen": around.admin, "config": {"persist": False}},
        "logging": _logging(around.access_log),
        "storage": {"module": "file_system", "root": around.storage},
        "apps": {"http": http},
    }
    if secured:
        redirect = _redirect(secured, around.https_port)
        http["servers"]["http"]["routes"] = [redirect, *routes]
        http["servers"]["https"] = _server(around.https_port, routes) | {
            "tls_connection_policies": [{}]
        }
        config["apps"]["tls"] = _tls(ingresses.values(), around)
        config["apps"]["pki"] = {"certificate_authorities": {"local": {"install_trust": False}}}
    return config


def _ordered(ingresses: Iterable[IngressRoutes]) -> Iterator[tuple[IngressRoutes, HttpRoute]]:
    """Yield routes as they are to be tried: named hosts first, longer paths, exact ones."""
    pairs = [(ingress, route) for ingress in ingresses for route in ingress.routes]
    yield from sorted(
        pairs,
        key=lambda pair: (
            not pair[1].host,
            pair[1].host.startswith("*"),
            pair[1].host,
            pair[1].match is not PathMatch.EXACT,
            -len(pair[1].path.rstrip("/")),
            pair[1].path,
        ),
    )


def _route(ingress: IngressRoutes, route: HttpRoute, around: Surroundings) -> _Config:
    match: _Config = {}
    if route.host:
        match["host"] = [route.host]
    if pattern := path_pattern(route):
        match["path_regexp"] = {"pattern": pattern}
    name = name_of(ingress, route)
    handlers = [
        _noted(ROUTE, name),
        _noted(END, "{http.reverse_proxy.upstream.hostport}"),
        _proxy(name, route, around),
    ]
    entry: _Config = {"handle": handlers, "terminal": True}
    return {"match": [match], **entry} if match else entry


def path_pattern(route: HttpRoute) -> str:
    """Return what a path has to look like; empty when any will do.

    A prefix counts by whole elements, as in Kubernetes: `/a` is one of `/a/b` but not of `/ab`.
    """
    if route.match is PathMatch.EXACT:
        return f"^{re.escape(route.path)}$"
    prefix = route.path.rstrip("/")
    return f"^{re.escape(prefix)}(?:/|$)" if prefix else ""


def _noted(key: str, value: str) -> _Config:
    """Return what has a field written to the line of the access log (see `access_log`)."""
    return {"handler": "log_append", "key": key, "value": value}


def _proxy(name: str, route: HttpRoute, around: Surroundings) -> _Config:
    transport: _Config = {
        "protocol": "http",
        "resolver": {"addresses": [around.ends_at]},
        "dial_timeout": CONNECT,
        "keep_alive": {"max_idle_conns_per_host": 256, "idle_timeout": UPSTREAM_IDLE},
    }
    if route.timeout_seconds:
        # The time begins when a request goes on, also to where it waits for who sleeps.
        transport["response_header_timeout"] = f"{route.timeout_seconds + _waiting(route)}s"
    return {
        "handler": "reverse_proxy",
        "dynamic_upstreams": {
            "source": "srv",
            # With a dot at its end, so that no search list is tried.
            "name": f"{name}.",
            "refresh": f"{int(REFRESH_SECONDS * 1000)}ms",
            "grace_period": f"{int(STALE_SECONDS * 1000)}ms",
            "resolver": {"addresses": [around.routes_at]},
        },
        "transport": transport,
        "load_balancing": {
            "selection_policy": _policy(name, sticky=route.sticky),
            # Also while the worker is away in which requests wait for who sleeps.
            "try_duration": f"{max(TRY_SECONDS, _waiting(route))}s",
            "try_interval": TRY_EVERY,
            # What never reached anybody is always tried again; what may have, only if that is safe.
            "retry_match": [{"method": ["GET", "HEAD", "OPTIONS"]}],
        },
        "health_checks": {"passive": {"fail_duration": "2s", "max_fails": 1}},
        "stream_close_delay": STREAM,
    }


def _waiting(route: HttpRoute) -> int:
    """Return for how many seconds a request may wait until somebody is awake."""
    return route.hold_seconds if route.wakes else 0


def _policy(name: str, *, sticky: bool) -> _Config:
    least: _Config = {"policy": "least_conn"}
    if not sticky:
        return least
    return {"policy": "cookie", "name": f"kijabi-{name.partition('.')[0]}", "fallback": least}


def _server(port: int, routes: list[_Config]) -> _Config:
    nothing: _Config = {"handler": "static_response", "status_code": 404, "body": "no such route\n"}
    sorry: _Config = {
        "handler": "static_response",
        "status_code": "{http.error.status_code}",
        "body": "{http.error.status_code} {http.error.status_text}\n",
    }
    return {
        "listen": [f":{port}"],
        "protocols": ["h1", "h2"],
        "automatic_https": {"disable": True},
        "read_header_timeout": "10s",
        "idle_timeout": "120s",
        "routes": [*routes, {"handle": [nothing]}],
        "errors": {"routes": [{"handle": [_noted(FAILED, "{http.error.status_code}"), sorry]}]},
        "logs": {"default_logger_name": "access"},
    }


def _secured(ingress: IngressRoutes) -> set[str]:
    own = {host for certificate in ingress.certificates for host in certificate.hosts}
    return own | set(ingress.automatic_hosts)


def _redirect(hosts: list[str], https_port: int) -> _Config:
    port = "" if https_port == 443 else f":{https_port}"
    answer = {
        "handler": "static_response",
        "status_code": 308,
        "headers": {"Location": [f"https://{{http.request.host}}{port}{{http.request.uri}}"]},
    }
    return {"match": [{"host": hosts}], "handle": [answer], "terminal": True}


def _tls(ingresses: Iterable[IngressRoutes], around: Surroundings) -> _Config:
    entries = list(ingresses)
    own = {(c.chain, c.key) for entry in entries for c in entry.certificates}
    automatic = sorted({host for entry in entries for host in entry.automatic_hosts})
    certificates: _Config = {
        "load_pem": [{"certificate": chain, "key": key} for chain, key in sorted(own)]
    }
    tls: _Config = {"certificates": certificates}
    if automatic:
        certificates["automate"] = automatic
        issuer: _Config = {"module": "internal"}
        if around.acme:
            issuer = {"module": "acme", "ca": around.acme, "email": around.acme_email}
        tls["automation"] = {"policies": [{"subjects": automatic, "issuers": [issuer]}]}
    return tls


def _logging(access_log: str) -> _Config:
    rotation = {"roll_size_mb": 50, "roll_keep": 2, "roll_keep_days": 30}
    return {
        "logs": {
            "default": {"level": "WARN", "exclude": ["http.log.access.access", *_NOISY]},
            "access": {
                "writer": {"output": "file", "filename": access_log, **rotation},
                "encoder": {"format": "json"},
                "include": ["http.log.access.access"],
            },
        }
    }
