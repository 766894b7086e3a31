"""Writers of condensed sets. `core.export.artifacts.write_all` writes every format.

This module imports nothing, so that reading the card's format does not load torch.
"""
