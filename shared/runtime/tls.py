"""How this side speaks to a TLS server."""

from __future__ import annotations

import ssl


def tls_context(ca_file: str) -> ssl.SSLContext:
    """The context for a client: the server's name and certificate are checked, against the authorities in the PEM
    file `ca_file` or, where that is empty, those of the system; TLS 1.2 at least (RFC 9325), whatever OpenSSL's own
    configuration says. Raises OSError, with the file's name, if the file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise OSError(error.errno, f"{ca_file or 'the authorities of the system'}: {error.strerror}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
