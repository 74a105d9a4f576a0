"""The pages for people: every test of all pages goes through this list; add new ones here."""

from __future__ import annotations

LOGIN = "/login/"

# Pages that only some may open; the rest are for everybody who has logged in.
CHANGERS = ("operator", "admin")
ONLY_FOR = {
    "/deployments/new/": CHANGERS,
    "/deployments/new/?mode=yaml": CHANGERS,
    "/deployments/default/web/edit/": CHANGERS,
    "/deployments/default/web/edit/?mode=yaml": CHANGERS,
    "/apply/": CHANGERS,
    "/apply/?kind=secret": CHANGERS,
    "/apply/?expose=web": CHANGERS,
    "/users/": ("admin",),
}

# `{replica}` and the like stand for ids, which each test fills in from its own data.
PAGES = (
    "/",
    "/deployments/",
    "/deployments/?phase=Available&search=w",
    "/deployments/?search=none-such",
    "/deployments/default/web/",
    "/deployments/default/web/replicas/",
    "/deployments/default/web/use/",
    "/deployments/default/web/use/?range=24h",
    "/deployments/default/web/autoscaler/",
    "/deployments/default/crashing/autoscaler/",
    "/deployments/default/web/logs/",
    "/deployments/default/web/revisions/",
    "/deployments/default/web/revisions/?back=1",
    "/deployments/default/web/events/",
    "/deployments/default/web/settings/",
    "/deployments/default/web/edit/",
    "/deployments/default/web/edit/?mode=yaml",
    "/deployments/default/crashing/",
    "/deployments/default/stuck/",
    "/deployments/default/held/",
    "/deployments/new/",
    "/deployments/new/?mode=yaml",
    "/replicas/{replica}/",
    "/replicas/{replica}/use/",
    "/replicas/{replica}/logs/",
    "/nodes/",
    "/nodes/rebalance/",
    "/nodes/n1/",
    "/nodes/n1/use/",
    "/nodes/n1/drain/",
    "/nodes/n1/forget/",
    "/nodes/n1/marks/",
    "/services/",
    "/services/default/web/",
    "/services/default/lonely/",
    "/ingresses/default/{ingress}/",
    "/namespaces/",
    "/apply/",
    "/apply/?kind=secret",
    "/apply/?expose=web",
    "/gateways/",
    "/jobs/",
    "/jobs/{job}/",
    "/events/",
    "/events/{event}/",
    "/search/?q=w",
    "/account/",
    "/users/",
)


def may_open(role: str, page: str) -> bool:
    """Tell whether somebody of this role is shown the page."""
    return page not in ONLY_FOR or role in ONLY_FOR[page]
