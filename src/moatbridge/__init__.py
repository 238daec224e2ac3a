"""moatbridge."""
