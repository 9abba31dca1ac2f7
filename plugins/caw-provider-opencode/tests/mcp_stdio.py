"""An MCP server on stdio with one tool, in plain JSON-RPC; it writes its environment's names down.

The file to write is in MCP_SEEN; MCP_SECRET is what no record, log or command line may hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

TOOL = {
    "name": "add",
    "description": "Adds two numbers.",
    "inputSchema": {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
    },
}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "sums", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": str(sum(params["arguments"].values()))}]}
    return {}


def main() -> None:
    if "MCP_SEEN" in os.environ:
        secret = os.environ.get("MCP_SECRET", "").encode()
        Path(os.environ["MCP_SEEN"]).write_text(hashlib.sha256(secret).hexdigest())
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            result = answer(message["method"], message.get("params", {}))
            said = {"jsonrpc": "2.0", "id": message["id"], "result": result}
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
