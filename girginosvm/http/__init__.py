"""Front desk: HTTP, generic over the actions that the rooms define."""
