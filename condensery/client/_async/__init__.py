"""The client and what its answers can do."""
