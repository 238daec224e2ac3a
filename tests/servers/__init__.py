"""Real servers on free loopback ports, one module each, started by fixtures."""
