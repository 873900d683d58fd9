"""What is said when a connection cannot be opened."""

from __future__ import annotations

import ssl

from waypost.delivery.opening import _handshake_text


def test_a_refused_certificate_is_told_with_what_to_do() -> None:
    fault = ssl.SSLCertVerificationError(1, "certificate verify failed")
    fault.verify_code = 18  # type: ignore[misc]  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
    fault.verify_message = "self-signed certificate"  # type: ignore[misc]
    text = _handshake_text("mx.example:587", fault, "mx.example")
    assert text.startswith("mx.example:587: TLS failed: ")
    assert "self-signed certificate" in text
    assert "ca_file" in text
