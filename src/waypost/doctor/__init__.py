"""Finds out why mail does not go: probes, their evidence, one cause and its fix."""
