"""caw provider that answers without any agent: for first steps and for tests."""

from caw_provider_echo.provider import EchoProvider

__all__ = ["EchoProvider"]
