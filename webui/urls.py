"""Addresses of the pages."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from webui import views

app_name = "webui"

urlpatterns = [
    path("", views.overview, name="overview"),
    path("deployments/<str:namespace>/<str:name>/", views.deployment, name="deployment"),
    path("login/", LoginView.as_view(template_name="webui/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
