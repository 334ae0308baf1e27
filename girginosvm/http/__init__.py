"""The front desk: REST, streams, the panel's files. Generic over the registry of actions."""
