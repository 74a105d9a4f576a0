"""Decides: what should run where, from a snapshot alone. Standard library only."""
