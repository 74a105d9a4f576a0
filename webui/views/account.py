"""One's own account (password, API tokens), and, for administrators, everybody's."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.operations import accounts
from orchestrator.operations.access import why_not
from orchestrator.operations.accounts import Role, role_of
from orchestrator.queries import accounts as queries
from webui.pages import act, change, page, show
from webui.views.acts import Mistyped

LONGEST_DAYS = 366


@page("tokens")
def index(request: HttpRequest) -> HttpResponse:
    """Show one's own account."""
    return _index(request, PasswordChangeForm(_user(request)))


def _index(request: HttpRequest, form: PasswordChangeForm) -> HttpResponse:
    user = _user(request)
    context = {
        "form": form,
        "tokens": queries.tokens(user),
        "role": role_of(user),
        "made": request.session.pop("made_token", ""),
    }
    return show(request, "account", context, topics="")


@act("tokens")
def password(request: HttpRequest) -> str | HttpResponse:
    """Change one's own password; other sessions of the user end."""
    form = PasswordChangeForm(_user(request), request.POST)
    if not form.is_valid():
        answer = _index(request, form)
        answer.status_code = 422
        return answer
    update_session_auth_hash(request, form.save())
    accounts.record(change(request), "PasswordChanged", f"{request.user} changed their password")
    return _("Your password is changed.")


@act("tokens")
def make_token(request: HttpRequest) -> HttpResponse:
    """Make an API token; it is shown once."""
    name = request.POST.get("name", "").strip()[:64]
    days = request.POST.get("days", "90").strip()
    if not name:
        raise Mistyped(_("Give the token a name that says what it is for."))
    if not days.isdecimal() or not 1 <= int(days) <= LONGEST_DAYS:
        raise Mistyped(_("A token lives 1 to %(n)d days.") % {"n": LONGEST_DAYS})
    now = timezone.now()
    token = accounts.create_token(
        _user(request), name=name, now=now, expires_at=now + timedelta(days=int(days))
    )
    accounts.record(change(request), "TokenMade", f"{request.user} made the API token {name}")
    # Kept in the session for one page: an address or a message would be remembered elsewhere.
    request.session["made_token"] = token
    messages.success(request, _("The token is made; copy it now, it is shown only once."))
    return redirect("webui:account")


@act("tokens", "DELETE")
def revoke_token(request: HttpRequest, pk: int) -> str:
    """End an API token of one's own."""
    name = accounts.revoke_token(_user(request), pk, change(request))
    return _("The token %(name)s is revoked.") % {"name": name}


@page("users")
def users(request: HttpRequest) -> HttpResponse:
    """List users; administrators change them here."""
    context = {
        "users": queries.users(),
        "roles": [role.value for role in Role],
        "refused": why_not(request.user, "users"),
        "made": request.session.pop("made_password", None),
    }
    return show(request, "users", context, topics="")


@act("users")
def save_user(request: HttpRequest) -> HttpResponse:
    """Make a user, or change role, activity or password of one."""
    name = request.POST.get("name", "").strip()
    role = request.POST.get("role", "")
    if role not in set(Role):
        raise Mistyped(_("Choose a role."))
    made = accounts.save_user(
        name,
        Role(role),
        change(request),
        active=request.POST.get("active", "1") == "1",
        new_password="password" in request.POST,
    )
    if made:
        request.session["made_password"] = [name, made]
    messages.success(request, _("%(name)s is saved.") % {"name": name})
    return redirect("webui:users")


def _user(request: HttpRequest) -> User:
    user = request.user
    if not isinstance(user, User):
        raise TypeError("a page that needs a login was reached without one")
    return user
