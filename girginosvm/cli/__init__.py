"""Counter: the command line, generic over the actions that the rooms define."""
