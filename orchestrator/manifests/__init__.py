"""Kubernetes manifests: read strictly, completed with defaults, written back."""
