"""The version, stated here only: of the package, the API, and what artifacts were made by."""

__version__ = "0.1.0"
