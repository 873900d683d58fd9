"""`waypost check`: walks to a mail server step by step, and says which one thing is wrong.

Probes (names, reaching, greeting, encryption, login, transaction) do and see; they record steps
with their evidence and with signs (steps.py), and decide nothing. `diagnosis` is a pure function
from the steps to one cause. So what was seen can be looked at again, and a wrong verdict is mended
in one place.
"""
