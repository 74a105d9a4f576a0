"""The form for a deployment: a view onto its manifest. What the form does not show is kept."""

from __future__ import annotations

import copy
import shlex
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

Json = dict[str, Any]


class DeploymentForm(forms.Form):
    """The fields people change most; everything else is in the YAML beside it."""

    name = forms.CharField(label=_("Name"), max_length=63, help_text=_("lower case, digits and -"))
    namespace = forms.CharField(label=_("Namespace"), max_length=63, initial="default")
    image = forms.CharField(
        label=_("Image"),
        max_length=500,
        help_text=_("such as shop/web:1.4.2; “host” with the runtime sandbox"),
    )
    runtime = forms.ChoiceField(
        label=_("Runtime"),
        required=False,
        choices=[("", _("container engine")), ("sandbox", _("sandbox"))],
    )
    replicas = forms.IntegerField(label=_("Replicas"), min_value=0, max_value=5000, initial=1)
    port = forms.IntegerField(
        label=_("Port"), min_value=1, max_value=65535, required=False, help_text=_("it listens on")
    )
    command = forms.CharField(
        label=_("Command"), required=False, help_text=_("empty: the image's own")
    )
    variables = forms.CharField(
        label=_("Variables"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("one NAME=value a line; a whole .env file can be pasted"),
    )
    health = forms.CharField(
        label=_("Health check path"), required=False, help_text=_("such as /healthz; needs a port")
    )
    cpu = forms.CharField(label=_("CPU limit"), required=False, help_text=_("such as 500m"))
    memory = forms.CharField(label=_("Memory limit"), required=False, help_text=_("such as 256Mi"))

    def clean_variables(self) -> list[dict[str, str]]:
        """Read the lines.

        Raises:
            ValidationError: a line has no "=".
        """
        found = []
        for number, line in enumerate(self.cleaned_data["variables"].splitlines(), 1):
            text = line.strip().removeprefix("export ")
            if not text or text.startswith("#"):
                continue
            name, equals, value = text.partition("=")
            if not equals:
                raise forms.ValidationError(
                    _("Line %(n)d has no “=”: %(text)s"), params={"n": number, "text": text[:40]}
                )
            found.append({"name": name.strip(), "value": value.strip().strip("\"'")})
        return found

    def clean_command(self) -> list[str]:
        """Split as a shell would.

        Raises:
            ValidationError: a quotation mark is not closed.
        """
        try:
            return shlex.split(self.cleaned_data["command"])
        except ValueError as error:
            raise forms.ValidationError(
                _("This command cannot be split into words: %(error)s"), params={"error": error}
            ) from None

    def clean(self) -> Json:
        """Check what concerns two fields."""
        cleaned: Json = super().clean() or {}
        if cleaned.get("health") and not cleaned.get("port"):
            self.add_error("port", _("A health check needs the port to ask."))
        return cleaned


def initial_of(manifest: Json) -> Json:
    """Return what the form shows of a manifest; parts that are not there are empty."""
    metadata = _mapping(manifest.get("metadata"))
    spec = _mapping(manifest.get("spec"))
    pod = _mapping(_mapping(spec.get("template")).get("spec"))
    container = _container(pod)
    limits = _mapping(_mapping(container.get("resources")).get("limits"))
    ports = _list(container.get("ports")) or [{}]
    probe = _mapping(_mapping(container.get("readinessProbe")).get("httpGet"))
    variables = [_mapping(item) for item in _list(container.get("env"))]
    return {
        "name": metadata.get("name", ""),
        "namespace": metadata.get("namespace", "default"),
        "image": container.get("image", ""),
        "runtime": pod.get("runtimeClassName", ""),
        "replicas": spec.get("replicas", 1),
        "port": _mapping(ports[0]).get("containerPort", ""),
        "command": shlex.join(map(str, _list(container.get("command")))),
        "variables": "\n".join(f"{item.get('name')}={item.get('value', '')}" for item in variables),
        "health": probe.get("path", ""),
        "cpu": limits.get("cpu", ""),
        "memory": limits.get("memory", ""),
    }


def merged(manifest: Json, cleaned: Json) -> Json:
    """Return the manifest with the form's fields written into it."""
    new: Json = copy.deepcopy(manifest) or {"apiVersion": "apps/v1", "kind": "Deployment"}
    name = cleaned["name"]
    metadata = _child(new, "metadata")
    metadata["name"] = name
    if cleaned["namespace"] != "default" or "namespace" in metadata:
        metadata["namespace"] = cleaned["namespace"]
    spec = _child(new, "spec")
    spec["replicas"] = cleaned["replicas"]
    template = _child(spec, "template")
    if not manifest:
        spec["selector"] = {"matchLabels": {"app": name}}
        template["metadata"] = {"labels": {"app": name}}
    pod = _child(template, "spec")
    _put(pod, "runtimeClassName", cleaned["runtime"])
    containers = _list(pod.get("containers")) or [{}]
    container = containers[0] = _mapping(containers[0])
    pod["containers"] = containers
    container.setdefault("name", "main")
    container["image"] = cleaned["image"]
    _put(container, "command", cleaned["command"])
    _put(container, "env", cleaned["variables"])
    _write_port(container, cleaned)
    resources = _child(container, "resources")
    limits = _child(resources, "limits")
    _put(limits, "cpu", cleaned["cpu"])
    _put(limits, "memory", cleaned["memory"])
    _put(resources, "limits", limits)
    _put(container, "resources", resources)
    return new


def _write_port(container: Json, cleaned: Json) -> None:
    port, path = cleaned["port"], cleaned["health"]
    ports = _list(container.get("ports")) or [{}]
    if port:
        ports[0] = {**_mapping(ports[0]), "containerPort": port}
        container["ports"] = ports
    else:
        container.pop("ports", None)
    probe = _mapping(container.get("readinessProbe"))
    if path:
        probe["httpGet"] = {**_mapping(probe.get("httpGet")), "path": path, "port": port}
        container["readinessProbe"] = probe
    elif "httpGet" in probe:
        container.pop("readinessProbe")


def _container(pod: Json) -> Json:
    containers = pod.get("containers")
    first = containers[0] if isinstance(containers, list) and containers else {}
    return _mapping(first)


def _child(parent: Json, key: str) -> Json:
    """Return the mapping under a key; what else was there makes room for an empty one."""
    parent[key] = child = _mapping(parent.get(key))
    return child


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _put(target: Json, key: str, value: object) -> None:
    """Set what has a value, remove what has none: an empty field is no field."""
    if value in ("", None, [], {}):
        target.pop(key, None)
    else:
        target[key] = value
