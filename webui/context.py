"""What every template knows: where one is, one's tastes, and what is wrong with the whole."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.translation import gettext as _

from orchestrator.operations import trouble

RELEASE = version("kijabi")
THEMES = ("light", "dark")
_troubles = lazy(trouble.present, list)


def places() -> list[tuple[str, str]]:
    """Return the words and addresses of the main pages."""
    return [
        (_("Overview"), reverse("webui:overview")),
        (_("Deployments"), reverse("webui:deployments")),
        (_("Services"), reverse("webui:services")),
        (_("Gateways"), reverse("webui:gateways")),
        (_("Nodes"), reverse("webui:nodes")),
        (_("Jobs"), reverse("webui:jobs")),
        (_("Events"), reverse("webui:events")),
    ]


def frame(request: HttpRequest) -> dict[str, Any]:
    """Return what base.html shows around every page."""
    theme = request.COOKIES.get("theme", "")
    return {
        "places": [
            {"url": url, "words": words, "current": _is_at(request.path, url)}
            for words, url in places()
        ],
        "theme": theme if theme in THEMES else "",
        "keys": "off" if request.COOKIES.get("keys") == "off" else "",
        "release": RELEASE,
        "now": timezone.now().isoformat(timespec="milliseconds"),
        # The page keeps itself current; what it says once is not for that.
        "is_refresh": "X-Kijabi-Live" in request.headers,
        "troubles_of_ours": _troubles() if request.user.is_authenticated else [],
    }


def _is_at(path: str, url: str) -> bool:
    return path == url if url == "/" else path.startswith(url)
