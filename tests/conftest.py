"""Puts this folder on the path, for what several kinds of tests share (relay_process, sink)."""
