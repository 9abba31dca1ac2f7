"""caw storage that keeps each session as a folder of JSON lines."""

from caw_storage_jsonl.storage import JsonlStorage
from caw_storage_jsonl.url import folder_of_url

__all__ = ["JsonlStorage", "open_storage"]


def open_storage(url: str) -> JsonlStorage:
    """Return the storage that *url* names, without touching the disk.

    Args:
        url: ``jsonl:///absolute/folder`` or ``jsonl:relative/folder``, special characters
            percent-encoded.

    Raises:
        ConfigError: it names no folder of this machine.
    """
    return JsonlStorage(folder_of_url(url))
