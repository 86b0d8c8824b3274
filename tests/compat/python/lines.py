"""Speaks with the runner of the compatibility tests: JSON lines on standard input and output."""

import json
import sys
import threading

_out = threading.Lock()


def plain(value):
    """What came in Protobuf is bytes that hold JSON."""
    return json.loads(value) if isinstance(value, bytes) else str(value)


def say(**line):
    """Writes one line."""
    text = json.dumps(line, default=plain)
    with _out:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def failure(error):
    """An error's line: with the number that the server gave it, or 0."""
    code = getattr(error, "code", 0)
    return {"code": code if isinstance(code, int) else 0, "message": getattr(error, "message", str(error))}


def serve(do):
    """Carries out commands, one after the other, until the input ends."""
    for line in sys.stdin:
        command = json.loads(line)
        try:
            say(id=command["id"], result=do(command) or {})
        except Exception as error:  # whatever the SDK throws is the answer
            say(id=command["id"], error=failure(error))
