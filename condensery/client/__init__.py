"""The REST API as Python. Knows nothing of the server but its HTTP."""
