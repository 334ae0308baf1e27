"""A whole host in a state file: the same ports, with injectable faults and delays. For tests, and the demo without
root."""
