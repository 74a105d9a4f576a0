"""The command line client: a script of the REST API like any other. Standard library only."""
