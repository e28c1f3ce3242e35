"""Certificates made for one test: an authority, and the servers it vouches for."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Signs certificates; who trusts `file` trusts them."""

    folder: Path
    name: str = "authority"
    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    @property
    def file(self) -> Path:
        """The authority's own certificate, as a PEM file for `ca_file`."""
        path = self.folder / f"{self.name}.pem"
        own = self._signed(self.name, self.key, 365 * DAY, x509.BasicConstraints(ca=True, path_length=0))
        path.write_bytes(own.public_bytes(Encoding.PEM))
        return path

    def server(self, host: str = "127.0.0.1", *, valid: timedelta = 30 * DAY) -> ssl.SSLContext:
        """The context of a server that calls itself `host`, until `valid` from now; a negative span has passed."""
        key = generate_private_key(SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host)])
        certificate = self._signed(host, key, valid, x509.BasicConstraints(ca=False, path_length=None), names)
        path = self.folder / "server.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _signed(
        self, subject: str, key: EllipticCurvePrivateKey, valid: timedelta, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, now + valid) - DAY)
            .not_valid_after(now + valid)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
