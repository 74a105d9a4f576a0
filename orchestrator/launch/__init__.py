"""Start and stop the whole system on one machine. Standard library only: it runs before pip."""
