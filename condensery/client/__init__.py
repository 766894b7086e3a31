"""The REST API as Python. Knows nothing of the server but its HTTP.

What sends and waits is written once, for asyncio, in `_async`; scripts/unasync.py makes `_sync` of it. The
rest is of both. A resource is a file of `_async` (as keys.py), a class in fields.py and a line in client.py.
"""
