"""Uploads made to harm or broken on the way, built from nothing."""
