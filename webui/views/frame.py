"""What belongs to the frame: search, tastes, and the first sample."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import check_for_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from orchestrator.manifests.manifest import parse
from orchestrator.operations import applying
from orchestrator.queries import deployments, nodes, services
from webui.context import THEMES, places
from webui.pages import act, back, change, page, problem, show, wanted

TASTES = {"theme": THEMES, "keys": ("off",)}
YEAR_SECONDS = 365 * 24 * 3600
FOUND = 12
SAMPLE = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: hello
  annotations: {kubernetes.io/change-cause: the first sample}
spec:
  replicas: 3
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      runtimeClassName: sandbox
      terminationGracePeriodSeconds: 2
      containers:
      - name: web
        image: host
        command:
        - sh
        - -c
        - cd /tmp; echo hello from $KIJABI_REPLICA > index.html; exec python3 -m http.server $PORT
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 2}
        resources: {limits: {memory: 64Mi}}
"""


@page("deployments")
def search(request: HttpRequest) -> HttpResponse:
    """Find deployments, nodes and pages by a part of their name."""
    text = wanted(request, "q").get("q", "")
    overview, listed, *others = places()
    new = (_("New deployment"), reverse("webui:new"))
    more = [
        (_("Apply YAML"), reverse("webui:apply")),
        (_("Namespaces"), reverse("webui:namespaces")),
        (_("Rebalance"), reverse("webui:rebalance")),
        (_("Account and tokens"), reverse("webui:account")),
        (_("Users"), reverse("webui:users")),
    ]
    pages = [overview, listed, new, *others, *more]
    context = {
        "text": text,
        "deployments": deployments.select({"search": text})[:FOUND],
        "services": services.select({"search": text}, confirmed=False)[:FOUND],
        "nodes": [node for node in nodes.select()[:500] if text.lower() in node.name][:FOUND],
        "pages": [item for item in pages if text.lower() in item[0].lower()],
    }
    return show(request, "search", context, topics="")


@require_POST
def taste(request: HttpRequest) -> HttpResponse:
    """Remember colours, keys and language in cookies, so that the first paint is right."""
    cookies = {
        name: value if (value := request.POST.get(name, "")) in known else ""
        for name, known in TASTES.items()
    }
    language = request.POST.get("language", "")
    if language and check_for_language(language):
        cookies[settings.LANGUAGE_COOKIE_NAME] = language
    answer = back(request)
    for name, value in cookies.items():
        answer.set_cookie(
            name,
            value,
            max_age=YEAR_SECONDS,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )
    return answer


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say what to do when a form comes without its token (`reason` is for developers)."""
    del reason
    why = _(
        "This form was older than your login, or your browser keeps no cookies; nothing was done. "
        "Go back, load the page again and repeat it."
    )
    return problem(request, 403, why)


@act("apply")
def sample(request: HttpRequest) -> HttpResponse:
    """Deploy the sample: a small web server in sandboxes, which needs no image."""
    applying.apply(parse(SAMPLE.encode()), change(request))
    return redirect("webui:deployment", "default", "hello")
