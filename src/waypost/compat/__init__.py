"""Drop-ins: Waypost behind interfaces that applications already speak.

`waypost.compat.smtplib` stands for the standard library's module, `waypost.compat.logging` has a
handler, `waypost.compat.django` an EMAIL_BACKEND.
"""
