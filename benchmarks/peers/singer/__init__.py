"""See ``to_platform``."""
