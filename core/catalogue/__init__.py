"""The rows that users own: plain functions, session first, that never commit."""
