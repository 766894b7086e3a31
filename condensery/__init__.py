"""condensery for users: a client and a command line. It knows nothing of the server but its HTTP."""

from condensery.client import ApiError, Client, DownloadError

__all__ = ["ApiError", "Client", "DownloadError"]
