"""Disks, images and what is in their headers."""
