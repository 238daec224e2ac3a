"""Picking files up: which, in what order, and what they hold."""
