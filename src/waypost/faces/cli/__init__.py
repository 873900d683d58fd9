"""Waypost."""
