"""Vocabulary: what every floor speaks. Imports nothing of ours."""
