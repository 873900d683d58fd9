"""A simulated mail world: virtual time, a simulated network, peers that misbehave on purpose."""
