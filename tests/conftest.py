"""Puts this folder on the path, for what several kinds of tests share (relay_process, sink)."""

from hypothesis import HealthCheck, settings

# How long an example takes to be made says something of the machine, and nothing of what is tested:
# a clean clone makes its tables of characters first.
settings.register_profile("waypost", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("waypost")
