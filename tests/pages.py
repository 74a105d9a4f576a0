"""The pages for people: every test of all pages goes through this list; add new ones here."""

from __future__ import annotations

LOGIN = "/login/"

# `{replica}` and the like stand for ids, which each test fills in from its own data.
PAGES = (
    "/",
    "/deployments/",
    "/deployments/?phase=Available&search=w",
    "/deployments/default/web/",
    "/deployments/default/web/replicas/",
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
    "/replicas/{replica}/logs/",
    "/nodes/",
    "/nodes/n1/",
    "/jobs/",
    "/jobs/{job}/",
    "/events/",
    "/events/{event}/",
    "/search/?q=w",
    "/account/",
)
# What others than administrators may not even see.
ADMIN_PAGES = ("/users/",)
