"""A form that is sent twice (a double click, a page sent again) is carried out once.

The page gives each of its forms a word that no other has; `{% once %}` writes it. It is kept with
the answer as the API keeps an `Idempotency-Key`: one transaction, so neither exists without the
other, and what failed may be tried again. Later than a few seconds it is meant anew: somebody
went back and pressed the button once more.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from orchestrator.operations import answers

FIELD = "once"
WINDOW = timedelta(seconds=10)
Done = str | HttpResponse


def new_word() -> str:
    """Return a word for one form of one page."""
    return secrets.token_urlsafe(12)


def once(request: HttpRequest, perform: Callable[[], Done]) -> Done:
    """Return what `perform` does, or did when this form was sent before."""
    if not request.POST.get(FIELD):
        return perform()
    now, digest = timezone.now(), _digest(request)
    with transaction.atomic():
        kept, is_new = answers.claim(request.user, f"form:{digest}", digest, now=now)
        if not is_new and now - kept.created_at < WINDOW:
            return _again(kept.body or {})
        kept.created_at = now
        done = perform()
        if isinstance(done, HttpResponseRedirect):
            answers.keep(kept, status=302, body={"to": done.url})
        elif isinstance(done, str):
            answers.keep(kept, status=302, body={"said": done})
        else:
            # The page with a form's mistakes is no answer to keep: it is corrected and sent again.
            answers.forget(kept)
        return done


def _digest(request: HttpRequest) -> str:
    fields = request.POST.copy()
    fields.pop("csrfmiddlewaretoken", None)
    return hashlib.sha256(f"{request.path}?{fields.urlencode()}".encode()).hexdigest()


def _again(body: dict[str, str]) -> Done:
    return HttpResponseRedirect(body["to"]) if "to" in body else body.get("said", "")
