"""Commons: a small social product that companies connect to their own directory."""
