"""Peers from the package index: the smallest tap, source or destination of each."""
