"""The form for a deployment: a view onto its manifest. What the form does not show is kept."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Collection, Mapping
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
        label=_("Command"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("empty: the image's own"),
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
            if "=" not in text:
                raise forms.ValidationError(
                    _("Line %(n)d has no “=”: %(text)s"), params={"n": number, "text": text[:40]}
                )
            found.append(_variable(text))
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
    variables = [item for item in _list(container.get("env")) if _is_simple(item)]
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


def changed(manifest: Json, posted: Mapping[str, str]) -> set[str]:
    """Return the fields that say something else than the manifest: only those may be written."""
    return {
        name
        for name, shown in initial_of(manifest).items()
        if name in posted and _plain(posted[name]) != _plain(shown)
    }


def merged(manifest: Json, cleaned: Json, fields: Collection[str]) -> Json:
    """Return the manifest with these fields written into it; everything else stays as it was."""
    if not manifest:
        manifest, fields = _skeleton(cleaned["name"]), tuple(cleaned)
    new = copy.deepcopy(manifest)
    spec = _child(new, "spec")
    if "name" in fields:
        _child(new, "metadata")["name"] = cleaned["name"]
    metadata = _child(new, "metadata")
    if "namespace" in fields and (cleaned["namespace"] != "default" or "namespace" in metadata):
        metadata["namespace"] = cleaned["namespace"]
    if "replicas" in fields:
        spec["replicas"] = cleaned["replicas"]
    if set(fields) - {"name", "namespace", "replicas"}:
        _write_pod(_child(_child(spec, "template"), "spec"), cleaned, fields)
    return new


def _skeleton(name: str) -> Json:
    labels = {"app": name}
    template = {"metadata": {"labels": dict(labels)}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "spec": spec}


def _write_pod(pod: Json, cleaned: Json, fields: Collection[str]) -> None:
    if "runtime" in fields:
        _put(pod, "runtimeClassName", cleaned["runtime"])
    containers = _list(pod.get("containers")) or [{"name": "main"}]
    container = containers[0] = _mapping(containers[0])
    pod["containers"] = containers
    for field, key in (("image", "image"), ("command", "command")):
        if field in fields:
            _put(container, key, cleaned[field])
    if "variables" in fields:
        hidden = [item for item in _list(container.get("env")) if not _is_simple(item)]
        _put(container, "env", [*hidden, *cleaned["variables"]])
    if {"port", "health"} & set(fields):
        _write_port(container, cleaned, fields)
    for field in {"cpu", "memory"} & set(fields):
        resources = _child(container, "resources")
        limits = _child(resources, "limits")
        _put(limits, field, cleaned[field])
        _put(resources, "limits", limits)
        _put(container, "resources", resources)


def _write_port(container: Json, cleaned: Json, fields: Collection[str]) -> None:
    ports = _list(container.get("ports"))
    before = _mapping(ports[0]).get("containerPort") if ports else None
    if "port" in fields:
        first = [{**_mapping(ports[0] if ports else {}), "containerPort": cleaned["port"]}]
        _put(container, "ports", (first if cleaned["port"] else []) + ports[1:])
    probe = _mapping(container.get("readinessProbe"))
    asked = _mapping(probe.get("httpGet"))
    if "health" in fields and not cleaned["health"]:
        container.pop("readinessProbe", None)
    elif "health" in fields:
        port = asked.get("port", cleaned["port"])
        port = cleaned["port"] if port == before else port
        container["readinessProbe"] = {
            **probe,
            "httpGet": {**asked, "path": cleaned["health"], "port": port},
        }
    elif asked and asked.get("port") == before and cleaned["port"]:
        asked["port"] = cleaned["port"]


def _variable(text: str) -> dict[str, str]:
    """Read `NAME=value`; a pair of quotation marks around the whole value is not part of it."""
    name, _equals, value = text.partition("=")
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return {"name": name.strip(), "value": value}


def _is_simple(item: object) -> bool:
    """Tell whether a variable reads back the same from one line; others are only in the YAML."""
    if not isinstance(item, dict) or not isinstance(item.get("value"), str):
        return False
    line = f"{item.get('name')}={item['value']}"
    return len(line.splitlines()) == 1 and _variable(line) == item and line[0] != "#"


def _plain(value: object) -> str:
    return str(value).replace("\r\n", "\n").strip()


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
