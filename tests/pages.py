"""The pages for people: every test of all pages goes through this list; add new ones here."""

from __future__ import annotations

LOGIN = "/login/"

# `{replica}` and the like stand for ids, which each test fills in from its own data.
PAGES = (
    "/",
    "/deployments/default/web/",
    "/deployments/default/crashing/",
    "/deployments/default/stuck/",
    "/deployments/default/held/",
)
