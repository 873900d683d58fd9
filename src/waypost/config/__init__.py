"""One typed configuration: a TOML file, the environment, the flags of the command; later ones win.

Every wrong key or value is told at once, with its file, line, reason and the nearest right name.
"""

from waypost.config.layers import Flags
from waypost.config.loading import Configuration, load
from waypost.config.problems import ConfigurationError, Problem

__all__ = ["Configuration", "ConfigurationError", "Flags", "Problem", "load"]
