"""Hands: the only floor that touches the host."""
