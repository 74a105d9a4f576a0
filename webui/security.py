"""The content security policy of every page: nothing inline, nothing from elsewhere."""

from __future__ import annotations

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
)
# Swagger UI and Django's admin set styles on elements from scripts of their own.
RELAXED = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
RELAXED_PATHS = ("/api/docs/", "/admin/")


class ContentSecurityPolicyMiddleware:
    """Adds the header; works for synchronous and asynchronous views alike."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest):  # type: ignore[no-untyped-def]  # noqa: ANN204
        """Serve the request."""
        if self._is_async:
            return self._serve(request)
        return _with_policy(request, self._get_response(request))

    async def _serve(self, request: HttpRequest) -> HttpResponseBase:
        return _with_policy(request, await self._get_response(request))


def _with_policy(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    policy = RELAXED if request.path.startswith(RELAXED_PATHS) else POLICY
    response.headers.setdefault("Content-Security-Policy", policy)
    return response
