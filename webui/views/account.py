"""One's own account (password, API tokens), and, for administrators, everybody's."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from orchestrator.operations import tokens, users
from orchestrator.operations.accounts import Role, role_of, roles_up_to
from orchestrator.queries import accounts as queries
from webui.pages import Mistyped, act, change, page, show
from webui.views.acts import whole


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
        "roles": roles_up_to(role_of(user)),
        "made": request.session.pop("made_token", ""),
    }
    # Nobody comes here only to change the password: the page begins where it begins.
    form.fields["old_password"].widget.attrs.pop("autofocus", None)
    return show(request, "account", context, topics="")


@act("tokens")
def password(request: HttpRequest) -> str | HttpResponse:
    """Change one's own password; other sessions of the user end."""
    form = PasswordChangeForm(_user(request), request.POST)
    if not form.is_valid():
        answer = _index(request, form)
        answer.status_code = 422
        return answer
    user = _user(request)
    users.change_own_password(user, form.cleaned_data["new_password1"], change(request))
    update_session_auth_hash(request, user)
    return _("Your password is changed.")


@act("tokens")
def make_token(request: HttpRequest) -> HttpResponse:
    """Make an API token; it is shown once."""
    role, days = request.POST.get("role", ""), whole(request.POST.get("days", "90"))
    made = tokens.make(
        _user(request),
        request.POST.get("name", ""),
        change(request),
        role=Role(role) if role in set(Role) else None,
        days=days,
    )
    # Kept in the session for one page: an address or a message would be remembered elsewhere.
    request.session["made_token"] = made.text
    messages.success(request, _("The token is made; copy it now, it is shown only once."))
    return redirect("webui:account")


@act("tokens", "DELETE")
def revoke_token(request: HttpRequest, pk: int) -> str:
    """End an API token of one's own."""
    name = tokens.revoke(_user(request), pk, change(request))
    return _("The token %(name)s is revoked.") % {"name": name}


@page("users")
def user_list(request: HttpRequest) -> HttpResponse:
    """List users; administrators change them here."""
    context = {
        "users": queries.users(),
        "roles": [role.value for role in Role],
        "made": request.session.pop("made_password", None),
    }
    return show(request, "users", context, topics="")


@act("users")
def save_user(request: HttpRequest) -> HttpResponse:
    """Change role, activity or password of a user."""
    name = request.POST.get("name", "")
    is_active = request.POST.get("active", "1") == "1"
    users.alter(name, change(request), role=_role(request), active=is_active)
    if "password" in request.POST:
        made = users.generate_password(name, change(request))
        user = _user(request)
        if name == user.get_username():
            # Else one's own session ends here, and with it the only sight of the password.
            user.refresh_from_db()
            update_session_auth_hash(request, user)
        request.session["made_password"] = [name, made]
    return _saved(request, name)


@act("users")
def make_user(request: HttpRequest) -> HttpResponse:
    """Make a user; the password is shown once."""
    name = request.POST.get("name", "").strip()
    made = users.create(name, _role(request), change(request))
    request.session["made_password"] = [name, made]
    return _saved(request, name)


def _saved(request: HttpRequest, name: str) -> HttpResponse:
    messages.success(request, _("%(name)s is saved.") % {"name": name})
    return redirect("webui:users")


def _role(request: HttpRequest) -> Role:
    role = request.POST.get("role", "")
    if role not in set(Role):
        raise Mistyped(_("Choose a role."))
    return Role(role)


def _user(request: HttpRequest) -> User:
    user = request.user
    if not isinstance(user, User):
        raise TypeError("a page that needs a login was reached without one")
    return user
