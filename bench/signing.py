"""What a DKIM signature costs, beside what RSA alone costs: `python bench/signing.py`.

A message of 4 KiB with an ordinary header is signed as the relay does it: the header when it has
come, the body as it passes, the signature at its end. Both are timed in turn, in CPU time, and the
ratio is that of each pair of rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from waypost.mail.dkim import DkimSigner, PreparedSignature, RelaxedBodyHash
from waypost.mail.dkim_keys import generate_key

ROUNDS, TIMES = 15, 300

HEADER = (
    b"Received: from app.example ([192.0.2.7])\r\n\tby relay.example with ESMTPSA id 1k116c8n1n\r\n"
    b"\t(TLSv1.3, TLS_AES_256_GCM_SHA384);\r\n\tTue, 24 Nov 2026 10:00:00 +0000\r\n"
    b"From: Shop <shop@example.com>\r\nTo: ada@example.net\r\nSubject: Your order 4711\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <4711@example.com>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
)
BODY = b"The quick brown fox jumps over the lazy dog, and a line has some sixty\r\n" * 56


def microseconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    for _ in range(TIMES):
        work()
    return (time.process_time() - started) / TIMES * 1e6


def main() -> None:
    key = generate_key("rsa")
    assert isinstance(key, rsa.RSAPrivateKey)
    signer = DkimSigner("example.com", "s", key)

    def bare() -> bytes:
        return key.sign(HEADER, padding.PKCS1v15(), hashes.SHA256())

    def whole() -> bytes:
        prepared = PreparedSignature(signer, HEADER, timestamp=1)
        assert prepared.length > 0
        body = RelaxedBodyHash()
        body.update(BODY)
        return prepared.field(body.digest())

    pairs = [(microseconds(bare), microseconds(whole)) for _ in range(ROUNDS)]
    ratios = sorted(second / first for first, second in pairs)
    print(f"RSA-2048 alone    {statistics.median(one for one, _ in pairs):6.0f} us")
    print(f"a DKIM signature  {statistics.median(two for _, two in pairs):6.0f} us")
    print(f"ratio             {statistics.median(ratios):6.2f}  ({ratios[0]:.2f}-{ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
