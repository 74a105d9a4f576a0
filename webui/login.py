"""The login page; operations/logins.py counts wrong passwords and records who came."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.operations import logins


class LoginForm(AuthenticationForm):
    """Asks for name and password, unless there have been too many wrong ones."""

    def clean(self) -> dict[str, Any]:
        """Check the password.

        Raises:
            ValidationError: it is wrong, or was wrong too often.
        """
        name, now = str(self.cleaned_data.get("username", "")), timezone.now()
        until = logins.wait_until(name, logins.address_of(self.request), now=now)
        if until is not None:
            minutes = max(1, round((until - now).total_seconds() / 60))
            sentence = _("Too many wrong passwords. Try again in %(n)d min.") % {"n": minutes}
            raise forms.ValidationError(sentence, code="throttled")
        try:
            return super().clean()
        except forms.ValidationError:
            raise forms.ValidationError(
                _("User and password do not match. Try again."), code="invalid_login"
            ) from None


class Login(LoginView):
    """The login page."""

    template_name = "webui/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """Answer 429 to somebody who has to wait."""
        answer = super().form_invalid(form)
        if any(error.code == "throttled" for error in form.non_field_errors().as_data()):
            answer.status_code = 429
        return answer
