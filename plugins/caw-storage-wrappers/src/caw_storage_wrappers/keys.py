"""Keys for encryption: where they come from, and what is done with them."""

from __future__ import annotations

import base64
import binascii
import importlib
import os
import re
import secrets
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from caw_core.errors import ConfigError, TrajectoryError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
ENVELOPE: Final = "caw1"
"""The version of what `KeyRing.seal` writes: AES-256-GCM with a nonce of 96 random bits (NIST SP
800-38D; one key is good for 2**32 of them), as ``caw1.KEY_ID.NONCE.CIPHERTEXT`` in base64url."""

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


def new_key(key_id: str = "k1") -> str:
    """Return a new random key in the form in which `KeyRing` takes keys.

    Raises:
        ConfigError: *key_id* is not 1 to 32 letters, digits, ``_`` and ``-``.
    """
    if not _KEY_ID.fullmatch(key_id):
        msg = f"the id of a key is 1 to 32 letters, digits, '_' and '-', not {key_id[:40]!r}"
        raise ConfigError(msg)
    return f"{key_id}:{_encode(secrets.token_bytes(KEY_BYTES))}"


class KeyRing:
    """Keys by their ids; the first one is for sealing, all of them open.

    Args:
        keys: ``id:key`` each, the key in base64, 32 bytes of it.

    Raises:
        ConfigError: there is none, or one of them is no key.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._ciphers: dict[str, AESGCM] = {}
        for text in keys:
            key_id, _, encoded = text.strip().partition(":")
            key = _decode(encoded)
            # No message names the text: whoever forgot the id has the key there.
            if not _KEY_ID.fullmatch(key_id) or key is None or len(key) != KEY_BYTES:
                msg = (
                    "a key is written as id:key, the key as 32 bytes in base64; make one with: "
                    "python -m caw_storage_wrappers new-key"
                )
                raise ConfigError(msg)
            if key_id in self._ciphers:
                msg = f"there are two keys with the id {key_id!r}"
                raise ConfigError(msg)
            self._ciphers[key_id] = AESGCM(key)
        if not self._ciphers:
            msg = "there is no key; make one with: python -m caw_storage_wrappers new-key"
            raise ConfigError(msg)
        self.current = next(iter(self._ciphers))

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._ciphers)})"

    @classmethod
    def named(cls, source: str) -> KeyRing:
        """Return the keys that *source* names.

        Args:
            source: ``env:NAME`` for a variable of the environment, or ``keyring:SERVICE/USER`` for
                the system's keyring; what is there are keys with commas between them, the one to
                seal with first.

        Raises:
            ConfigError: there is nothing of that name, or it holds no keys.
        """
        kind, _, name = source.partition(":")
        if kind == "env" and name:
            text = os.environ.get(name)
        elif kind == "keyring" and "/" in name:
            text = _from_keyring(*name.split("/", 1))
        else:
            msg = "encrypt_key names where the keys are: env:NAME or keyring:SERVICE/USER"
            raise ConfigError(msg)
        if not text:
            msg = (
                f"encrypt_key: {source} holds no keys; make one with: "
                "python -m caw_storage_wrappers new-key"
            )
            raise ConfigError(msg)
        return cls(part for part in text.split(",") if part.strip())

    def seal(self, text: bytes, context: str) -> str:
        """Encrypt *text* so that it can be opened with the same *context* alone."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[self.current].encrypt(nonce, text, context.encode())
        return ".".join((ENVELOPE, self.current, _encode(nonce), _encode(sealed)))

    def open(self, envelope: str, context: str) -> bytes:
        """Decrypt what `seal` made.

        Raises:
            ConfigError: the key is not here.
            TrajectoryError: it was changed, is another place's or another key's of that id, or of
                a newer version.
        """
        version, _, rest = envelope.partition(".")
        key_id, nonce, sealed = ([*rest.split("."), "", ""])[:3]
        if version != ENVELOPE:
            msg = f"it is sealed with the envelope {version[:8]!r}; this version opens {ENVELOPE!r}"
            raise TrajectoryError(msg)
        if key_id not in self._ciphers:
            msg = f"it is sealed with the key {key_id[:32]!r}, which is not among the keys here"
            raise ConfigError(msg)
        try:
            return self._ciphers[key_id].decrypt(
                _decode(nonce) or b"", _decode(sealed) or b"", context.encode()
            )
        except (InvalidTag, ValueError) as error:
            msg = (
                f"the key {key_id!r} here does not open it: it was sealed with another key of that "
                "id, or changed since"
            )
            raise TrajectoryError(msg) from error

    def key_of(self, envelope: str) -> str:
        """Return the id of the key that an envelope was sealed with."""
        return envelope.split(".")[1] if envelope.count(".") > 1 else ""


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes | None:
    padded = text.replace("+", "-").replace("/", "_").rstrip("=")
    try:
        return base64.urlsafe_b64decode(padded + "=" * (-len(padded) % 4))
    except (ValueError, binascii.Error):
        return None


def _from_keyring(service: str, user: str) -> str | None:
    try:
        keyring = importlib.import_module("keyring")
    except ImportError as error:
        msg = "encrypt_key=keyring: needs: pip install 'caw-storage-wrappers[keyring]'"
        raise ConfigError(msg) from error
    try:
        found: str | None = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        msg = f"encrypt_key: the system's keyring cannot be asked: {error}"
        raise ConfigError(msg) from error
    return found
