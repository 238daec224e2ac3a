"""Writing a batch as one file that a consumer never sees half."""
