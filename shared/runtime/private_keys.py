"""Private Ed25519 keys as they lie in files: PEM, PKCS #8, no password, mode 600 (RFC 8410)."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


class NoPrivateKey(ValueError):
    """The content holds no such key."""


def private_key_of(pem: bytes) -> Ed25519PrivateKey:
    """The key in a file's content. Raises NoPrivateKey."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise NoPrivateKey(str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise NoPrivateKey("not an Ed25519 key")
    return key


def pem_of(key: Ed25519PrivateKey) -> bytes:
    """The key as a file holds it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_bytes_of(key: Ed25519PrivateKey) -> bytes:
    """Its public key, 32 bytes."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def write_new(path: Path, pem: bytes) -> None:
    """Write a key into a file that does not exist yet. Raises OSError; ValueError for a path that is none."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(pem)
