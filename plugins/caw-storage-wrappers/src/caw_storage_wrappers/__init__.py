"""What goes around any caw storage: encryption, redaction by pattern, and expiry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_storage_wrappers.url import Wrapped

if TYPE_CHECKING:
    from caw_storage_wrappers.encrypted import EncryptedStorage
    from caw_storage_wrappers.expiring import ExpiringStorage
    from caw_storage_wrappers.redacted import RedactedStorage

__all__ = ["open_encrypted", "open_expiring", "open_redacted"]


def open_encrypted(url: str) -> EncryptedStorage:
    """Return the storage that *url* names, with everything in it encrypted.

    Args:
        url: such as ``encrypt+sqlite:///sessions.db``, with ``encrypt_key`` in its query; see
            `caw_storage_wrappers.keys.KeyRing.named` for its forms.

    Raises:
        ConfigError: the URL, or a key, makes no sense.
    """
    from caw_storage_wrappers.encrypted import EncryptedStorage
    from caw_storage_wrappers.keys import KeyRing

    wrapped = Wrapped.of(url, "encrypt", "encrypt_key")
    keys = KeyRing.named(wrapped.one("encrypt_key") or "env:CAW_STORAGE_KEYS")
    return EncryptedStorage(wrapped.storage(), keys)


def open_redacted(url: str) -> RedactedStorage:
    """Return the storage that *url* names, given nothing that looks like a credential.

    Args:
        url: such as ``redact+sqlite:///sessions.db``; each ``redact`` in its query is one more
            regular expression, percent-encoded.

    Raises:
        ConfigError: the URL or an expression makes no sense.
    """
    from caw_storage_wrappers.redacted import RedactedStorage

    wrapped = Wrapped.of(url, "redact", "redact")
    return RedactedStorage(wrapped.storage(), wrapped.all("redact"))


def open_expiring(url: str) -> ExpiringStorage:
    """Return the storage that *url* names, which forgets sessions after a while.

    Args:
        url: such as ``ttl+sqlite:///sessions.db?ttl=30d``: ``ttl`` is the time since a session was
            last written, as in ``90s``, ``12h``, ``30d`` or ``2w``.

    Raises:
        ConfigError: the URL or the time makes no sense.
    """
    from caw_storage_wrappers.expiring import ExpiringStorage, length_of_time

    wrapped = Wrapped.of(url, "ttl", "ttl")
    return ExpiringStorage(wrapped.storage(), length_of_time(wrapped.one("ttl")))
