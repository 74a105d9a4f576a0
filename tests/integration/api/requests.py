"""Shorthand for what the API's tests ask."""

from __future__ import annotations

import json

from rest_framework.test import APIClient

WEB = "/api/v1/namespaces/default/deployments/web/"


def apply(api: APIClient, text: str, query: str = "", **headers: str):
    return api.post(f"/api/v1/apply/{query}", data=text, content_type="application/yaml", **headers)


def send(api: APIClient, method: str, path: str, body: object = None, **headers: str):
    """Send a body as JSON (None: no body at all)."""
    text = "" if body is None else json.dumps(body)
    return api.generic(method, path, text, content_type="application/json", **headers)


def post(api: APIClient, path: str, body: object = None, **headers: str):
    return send(api, "POST", path, body, **headers)
