"""Rooms: what each noun means."""
