"""Condensed sets that others made and published: read, checked, asked about.

`read.read` gives what a file holds, `plausibility.check` what has to be asked or refused, and
`ready.to_arrays` the set in normalised space. Layouts and what they lack: docs/condensed-sets.md.

This module imports nothing, so that `layouts` and `stated` are read without numpy and torch.
"""
