"""Containers without an engine: bubblewrap makes the namespaces, cgroups hold the limits."""

from worker.runtimes.sandbox.runtime import SandboxRuntime

__all__ = ["SandboxRuntime"]
