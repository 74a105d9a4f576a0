"""Addresses of the pages."""

from django.contrib.auth.views import LogoutView
from django.urls import include, path

from webui.login import Login
from webui.views import (
    account,
    acts,
    autoscalers,
    commands,
    deployments,
    editing,
    frame,
    log_stream,
    logs,
    overview,
    things,
)

app_name = "webui"

_deployment = [
    path("", deployments.detail, name="deployment"),
    path("replicas/", deployments.replica_list, name="deployment-replicas"),
    path("logs/", logs.deployment, name="deployment-logs"),
    path("use/", autoscalers.deployment_use, name="deployment-use"),
    path("autoscaler/", autoscalers.detail, name="autoscaler"),
    path("autoscaler/try/", autoscalers.rehearse, name="try-autoscaler"),
    path("autoscaler/save/", autoscalers.save, name="save-autoscaler"),
    path("autoscaler/delete/", autoscalers.delete, name="delete-autoscaler"),
    path("revisions/", deployments.revisions, name="deployment-revisions"),
    path("events/", deployments.timeline, name="deployment-events"),
    path("settings/", deployments.settings, name="deployment-settings"),
    path("edit/", editing.edit, name="edit"),
    path("scale/", acts.scale, name="scale"),
    path("pause/", acts.pause, name="pause"),
    path("resume/", acts.resume, name="resume"),
    path("restart/", acts.restart, name="restart"),
    path("rollback/", acts.rollback, name="rollback"),
    path("delete/", acts.delete, name="delete"),
]

urlpatterns = [
    path("", overview.index, name="overview"),
    path("deployments/", deployments.index, name="deployments"),
    path("deployments/new/", editing.new, name="new"),
    path("deployments/bulk/", acts.bulk, name="bulk"),
    path("deployments/<str:namespace>/<str:name>/", include(_deployment)),
    path("logs/stream/", log_stream.stream, name="logs-stream"),
    path("replicas/<str:uid>/", things.replica, name="replica"),
    path("replicas/<str:uid>/logs/", logs.replica, name="replica-logs"),
    path("replicas/<str:uid>/run/", commands.run, name="run"),
    path("replicas/<str:uid>/run/stream/", commands.stream, name="run-stream"),
    path("replicas/<str:uid>/use/", autoscalers.replica_use, name="replica-use"),
    path("replicas/<str:uid>/retry/", acts.retry, name="retry"),
    path("replicas/<str:uid>/replace/", acts.replace, name="replace"),
    path("nodes/", things.node_list, name="nodes"),
    path("nodes/add/", acts.add_node, name="add-node"),
    path("nodes/<str:name>/", things.node, name="node"),
    path("nodes/<str:name>/use/", autoscalers.node_use, name="node-use"),
    path("nodes/<str:name>/drain/", things.drain, name="drain"),
    path("nodes/<str:name>/drain/start/", acts.drain, name="start-drain"),
    path("nodes/<str:name>/cordon/", acts.cordon, name="cordon"),
    path("nodes/<str:name>/uncordon/", acts.uncordon, name="uncordon"),
    path("jobs/", things.job_list, name="jobs"),
    path("jobs/<str:uid>/", things.job, name="job"),
    path("events/", things.event_list, name="events"),
    path("events/<int:pk>/", things.event, name="event"),
    path("search/", frame.search, name="search"),
    path("taste/", frame.taste, name="taste"),
    path("sample/", frame.sample, name="sample"),
    path("account/", account.index, name="account"),
    path("account/password/", account.password, name="password"),
    path("account/tokens/", account.make_token, name="make-token"),
    path("account/tokens/<int:pk>/revoke/", account.revoke_token, name="revoke-token"),
    path("users/", account.user_list, name="users"),
    path("users/save/", account.save_user, name="save-user"),
    path("users/new/", account.make_user, name="make-user"),
    path("login/", Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
