"""Writers of condensed sets: `formats` lists them, `artifacts.write_all` writes every one.

This module imports nothing, so that reading the list does not load torch.
"""
