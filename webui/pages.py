"""What every view needs: who changes, which page of a list, and how failures are told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Page, Paginator
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
)
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from orchestrator.manifests.problems import ManifestInvalid
from orchestrator.operations.access import why_not
from orchestrator.operations.accounts import SESSION
from orchestrator.operations.autoscalers import AutoscalerChanged, AutoscalerExists
from orchestrator.operations.deployments import (
    DeploymentBusy,
    DeploymentExists,
    GenerationConflict,
)
from orchestrator.operations.draining import DeadlineOutOfRange
from orchestrator.operations.events import Change
from orchestrator.operations.namespaces import NamespaceInUse
from orchestrator.operations.node_marks import LabelFixed
from orchestrator.operations.nodes import NodeAlive
from orchestrator.operations.rebalancing import RebalanceRefused
from orchestrator.operations.replica_counts import OwnedByAutoscaler
from orchestrator.operations.replicas import ReplicaNotRunning
from orchestrator.operations.stored import ObjectConflict, ObjectExists
from orchestrator.queries.rows import Rows
from webui import repeats

View = Callable[..., HttpResponse]
Record = TypeVar("Record")
Act = Callable[..., str | HttpResponse]
PAGE_SIZE = 25
LOOKING = ("GET", "HEAD")
# What a person can cause; each says in one sentence what was wrong.
MISTAKES = (
    LookupError,
    AutoscalerChanged,
    AutoscalerExists,
    DeadlineOutOfRange,
    DeploymentBusy,
    DeploymentExists,
    GenerationConflict,
    LabelFixed,
    ManifestInvalid,
    NamespaceInUse,
    NodeAlive,
    ObjectConflict,
    ObjectExists,
    OwnedByAutoscaler,
    RebalanceRefused,
    ReplicaNotRunning,
)


class Mistyped(LookupError):
    """A field of a form cannot be understood."""


def page(address: str) -> Callable[[View], View]:
    """Return a decorator for a view that only shows; `address` is its row in the table of roles."""

    def decorate(view: View) -> View:
        @login_required
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method not in LOOKING:
                return wrong_method(request, LOOKING)
            if refused := why_not(request.user, address, "GET"):
                return forbidden(request, refused)
            return view(request, *args, **kwargs)

        return checked

    return decorate


def act(address: str, method: str = "POST") -> Callable[[Act], View]:
    """Return a decorator for a form's target: role, then the act, then back to where one was.

    The view returns the sentence that tells what was done, or a response of its own. A form that
    is sent twice is carried out once.
    """

    def decorate(view: Act) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method != "POST":
                return wrong_method(request, ["POST"])
            if not request.user.is_authenticated:
                messages.error(request, _("Your login had ended; nothing was done."))
                return redirect_to_login(origin(request))
            if refused := why_not(request.user, address, method):
                return forbidden(request, refused)
            try:
                done = repeats.once(request, lambda: view(request, *args, **kwargs))
            except MISTAKES as error:
                messages.error(request, sentence(error))
                return back(request)
            if isinstance(done, HttpResponse):
                return done
            messages.success(request, done)
            return back(request)

        return checked

    return decorate


def change(request: HttpRequest) -> Change:
    """Return who changes something, when, and why if a reason was written."""
    reason = request.POST.get("reason", "").strip()[:500]
    actor = request.user.get_username()
    return Change(actor=actor, now=timezone.now(), reason=reason, via=SESSION)


def back(request: HttpRequest) -> HttpResponse:
    """Go where the form says it came from."""
    return HttpResponseRedirect(origin(request))


def origin(request: HttpRequest) -> str:
    """Return where the form says it came from; only ever a page of ours."""
    wanted = request.POST.get("next", "")
    return wanted if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) else "/"


def wrong_method(request: HttpRequest, allowed: Collection[str]) -> HttpResponse:
    """Say that an address is not for this."""
    why = _("This address only takes what a button of a page sends; nothing was done.")
    answer = problem(request, 405, why)
    answer.headers["Allow"] = ", ".join(allowed)
    return answer


def forbidden(request: HttpRequest, why: str) -> HttpResponse:
    """Say why somebody may not do this."""
    return problem(request, 403, why)


def problem(request: HttpRequest, status: int, why: str) -> HttpResponse:
    """Answer with a page that says in one sentence what is wrong."""
    context = {"title": str(status), "why": why}
    return render(request, "webui/problem.html", context, status=status)


def sentence(error: Exception) -> str:
    """Return what went wrong, for a person."""
    if isinstance(error, ManifestInvalid):
        return "; ".join(str(problem) for problem in error.problems)
    return str(error.args[0]) if error.args else str(error)


def paged(
    request: HttpRequest, rows: Rows[Any] | Sequence[Any], size: int = PAGE_SIZE
) -> Page[Any]:
    """Return the page of a list that the address asks for; nonsense is the first or last."""
    listed: Any = rows
    return Paginator(listed, size).get_page(request.GET.get("page"))


def wanted(request: HttpRequest, *names: str, **choices: Collection[str]) -> dict[str, str]:
    """Return the filters in the address, without the empty ones and those that are no choice."""
    given = {name: request.GET.get(name, "").strip()[:200] for name in (*names, *choices)}
    plain = {name: value.replace("\x00", "") for name, value in given.items() if value}
    return {k: value for k, value in plain.items() if k not in choices or value in choices[k]}


def found(record: Record | None, sentence: str) -> Record:
    """Return what was looked up; answer 404 with the sentence when there is none.

    Raises:
        Http404: there is none.
    """
    if record is None:
        raise Http404(sentence)
    return record


def show(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    topics: str = "*",
    status: int = 200,
) -> HttpResponse:
    """Render a page that is kept current by these topics (blank separated; none: it stays)."""
    known = {**context, "topics": topics}
    return render(request, f"webui/{template}.html", known, status=status)
