"""Real servers as sources and targets, a worker between them, and what kills them all."""
