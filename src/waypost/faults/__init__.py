"""Faults on purpose: rules by which a server refuses, waits or hangs up, so that programs which
send to it can be tested. The relay's listeners take them, and the trap of `waypost.testing`.
"""
