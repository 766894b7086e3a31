"""The version that artifacts and the API state."""

__version__ = "0.1.0"
