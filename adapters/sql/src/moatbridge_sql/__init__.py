"""The sql adapter."""
