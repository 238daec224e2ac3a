"""moatbridge adapter: webhooks out and in."""
