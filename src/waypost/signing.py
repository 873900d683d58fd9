"""Signatures for `dkim=` and `smime=` of a mailer, and the DNS record that DKIM needs.

from waypost.signing import dkim_signer
key = dkim_signer("example.com", "2026a", "dkim.pem")
print(key.record.zone_line)
mailer = waypost.Mailer(dkim=key)
"""

from waypost.mail.dkim import CannotSign, DkimSigner
from waypost.mail.dkim import signer as dkim_signer
from waypost.mail.dkim_keys import (
    DkimRecord,
    InvalidKey,
    dkim_record,
    generate_key,
    key_pem,
    load_key,
)
from waypost.mail.smime import SmimeSigner, smime_signer

__all__ = [
    "CannotSign",
    "DkimRecord",
    "DkimSigner",
    "InvalidKey",
    "SmimeSigner",
    "dkim_record",
    "dkim_signer",
    "generate_key",
    "key_pem",
    "load_key",
    "smime_signer",
]
