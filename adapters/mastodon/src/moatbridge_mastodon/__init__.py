"""moatbridge adapter: Mastodon and platforms with its API."""
