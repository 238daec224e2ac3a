"""Telling the supplier that a file was taken over."""
