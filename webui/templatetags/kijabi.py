"""Template tags: states with a shape, times that tick, and who may press what."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from orchestrator.operations.access import why_not
from webui import node_presenters, presenters, repeats
from webui.curl import lines_of
from webui.presenters import Look

register = template.Library()

ICONS = {
    "ok": "i-ok",
    "progress": "i-run",
    "warn": "i-warn",
    "bad": "i-bad",
    "idle": "i-old",
    "pause": "i-pause",
    "person": "i-person",
}

for _name in (
    "of_deployment",
    "of_phase",
    "of_replica",
    "of_service",
    "of_ingress",
    "of_saved",
    "of_endpoint",
    "of_gateway",
    "of_job",
    "of_job_state",
    "of_event",
    "of_move",
):
    register.filter(_name, getattr(presenters, _name))
register.filter("of_node", node_presenters.of_node)
register.filter("doubted", node_presenters.doubted)
register.filter("gauges", node_presenters.gauges)
register.filter("by_condition", node_presenters.by_condition)
register.filter("size", presenters.size)
register.filter("cores", presenters.cores)
register.filter("verb", presenters.verb)
register.filter("folded", presenters.folded)
register.filter("wait_of", presenters.wait_of)
register.filter("work_of", presenters.work_of)


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return an icon of the page's own sheet; it says nothing that words beside it do not."""
    return format_html('<svg aria-hidden="true"><use href="#{}"/></svg>', name)


@register.simple_tag
def pill(look: Look) -> SafeString:
    """Return a state as shape, colour and word."""
    return format_html(
        '<span class="pill" data-s="{}">{}<span class="num">{}</span></span>',
        look.tone,
        icon(ICONS[look.tone]),
        look.words,
    )


@register.filter
def icon_of(look: Look) -> SafeString:
    """Return the shape of a tone."""
    return icon(ICONS[look.tone])


@register.simple_tag
def ago(moment: datetime | None) -> SafeString:
    """Return a moment as time past (or to come); scripts keep it ticking, the title is exact."""
    if moment is None:
        return format_html("{}", "–")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(timespec="seconds"),
        moment.strftime("%Y-%m-%d %H:%M:%S UTC"),
        past(moment),
    )


@register.simple_tag
def elapsed(moment: datetime) -> SafeString:
    """Return how long ago a moment was, as a length of time that scripts keep counting."""
    return _counted(moment, timezone.now() - moment, "up")


@register.simple_tag
def remaining(moment: datetime) -> SafeString:
    """Return how long it is to a moment, as a length of time that scripts count down to nothing."""
    return _counted(moment, moment - timezone.now(), "down")


def _counted(moment: datetime, length: timedelta, way: str) -> SafeString:
    return format_html(
        '<time class="count" datetime="{}" data-count="{}">{}</time>',
        moment.isoformat(timespec="milliseconds"),
        way,
        span(max(0, round(length.total_seconds()))),
    )


def past(moment: datetime) -> str:
    """Return how long ago something was, in one unit."""
    seconds = int((timezone.now() - moment).total_seconds())
    if seconds < 0:
        return _("in %(time)s") % {"time": span(-seconds)}
    return _("%(time)s ago") % {"time": span(seconds)}


@register.filter
def span(seconds: float | None) -> str:
    """Return a length of time in one unit."""
    if seconds is None:
        return "–"
    if seconds < 10 and seconds != int(seconds):
        return _("%(n).1f s") % {"n": seconds}
    for limit, unit, text in (
        (90, 1, _("%(n)d s")),
        (5400, 60, _("%(n)d min")),
        (129600, 3600, _("%(n)d h")),
    ):
        if seconds < limit:
            return text % {"n": round(seconds / unit)}
    return _("%(n)d d") % {"n": round(seconds / 86400)}


@register.simple_tag
def once() -> SafeString:
    """Return the field by which a form that is sent twice is carried out once."""
    return format_html(
        '<input type="hidden" name="{}" value="{}">', repeats.FIELD, repeats.new_word()
    )


@register.simple_tag(takes_context=True)
def refusal(context: dict[str, Any], address: str, method: str = "POST") -> str:
    """Return why the person who looks may not do this; empty when they may."""
    return why_not(context["request"].user, address, method)


@register.inclusion_tag("webui/_commands.html", takes_context=True)
def curl(context: dict[str, Any], subject: str, *names: str) -> dict[str, str]:
    """Show what the buttons of a page send, as lines for a shell."""
    root = context["request"].build_absolute_uri("/api/v1/")
    return {"lines": lines_of(subject, root, *names)}


@register.simple_tag(takes_context=True)
def with_query(context: dict[str, Any], **changes: object) -> str:
    """Return this page's query string with some values changed; empty ones are left out."""
    query = context["request"].GET.copy()
    query.pop("page", None)
    for key, value in changes.items():
        query.pop(key, None)
        if value not in {"", None}:
            query[key] = str(value)
    text = query.urlencode()
    return f"?{text}" if text else context["request"].path


@register.filter
def diff_kind(line: str) -> str:
    """Return what a line of a unified diff is."""
    if line.startswith(("---", "+++")):
        return "file"
    return {"+": "ins", "-": "del", "@": "hunk"}.get(line[:1], "same")


@register.filter
def pair(first: str, second: str) -> list[str]:
    """Return the two that are not empty, as a list."""
    return [item for item in (first, second) if item]


@register.filter
def unlocalise(number: float) -> str:
    """Return a number as SVG needs it, whatever the language writes."""
    return f"{number:g}"
