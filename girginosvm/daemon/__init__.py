"""Composition: the entry points, the only place where the floors meet."""
