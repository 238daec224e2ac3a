"""What all scenarios share: processes, rounds, sink, report."""
