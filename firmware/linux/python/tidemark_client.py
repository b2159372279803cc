"""What an application needs to run a model that Tidemark delivers: where its file is, when it changes, what it saw.

    tm = tidemark_client.Client("/var/lib/tidemark-agent", "pump")
    model = load(tm.model_path())
    while True:
        if tm.model_changed():
            model = load(tm.model_path())
        tm.observe(features, prediction=y, score=p, group="oslo", id=n)

Nothing here blocks: what the agent does not take at once waits in a buffer of 16 KiB and goes with the next call; what does
not fit is dropped and counted. The datagrams are those of docs/spec/local-api.md. Standard library only.
SPDX-License-Identifier: Apache-2.0
"""

import math
import os
import re
import socket
import struct

VERSION = 1
DATAGRAM_MAX = 16384
TEXT_MAX = 64
PREDICTION = 0xFFFF
ATTACH, OBSERVE, LABEL, ERROR = 1, 2, 3, 4


class NoModel(Exception):
    """The slot has no version yet: try again later."""


class Client:
    """One slot of one agent. Belongs to one thread at a time."""

    def __init__(self, folder, slot):
        name = slot.encode()
        if not 1 <= len(name) <= 128 or slot.startswith(".") or "/" in slot:
            raise ValueError(f"{slot!r} is no slot name: 1 to 128 bytes, no '/' and no leading '.'")
        self.dropped = 0
        self._slot = name
        self._folder = os.path.join(folder, "slots", slot)
        self._address = os.path.join(folder, "run", "agent.sock")
        self._digest = ""
        self._records = []
        self._size = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Sends what still waits, then closes the socket."""
        self.flush()
        self._socket.close()

    # ---- the model's file

    def _current(self):
        try:
            digest = os.readlink(os.path.join(self._folder, "current"))
        except OSError:
            return ""
        return digest if re.fullmatch("[0-9a-f]{32}", digest) else ""

    def model_path(self, name=None):
        """The path of a file of the version that is current now: `name` below model/, or the only file there. From this call
        on observations are marked as made by that version."""
        digest = self._current()
        if not digest:
            raise NoModel(f"{self._folder}/current: no version is installed yet")
        folder = os.path.join(self._folder, digest, "model")
        if name is None:
            names = [entry for entry in os.listdir(folder) if not entry.startswith(".")]
            if len(names) != 1:
                raise ValueError(f"{folder} holds {len(names)} files: name the one you mean")
            name = names[0]
        if digest != self._digest:
            if not self.flush():
                self.dropped += len(self._records)
                self._records, self._size = [], 0
            self._digest = digest
        return os.path.join(folder, name)

    def model_changed(self):
        """Whether another version is current than the one model_path spoke of last."""
        digest = self._current()
        return bool(digest) and digest != self._digest

    @property
    def model_digest(self):
        return self._digest

    # ---- what the application saw

    def attach(self):
        """Renews the application's lease without an observation."""
        return self.flush() if self._records else self._add(ATTACH, b"")

    def observe(self, features, prediction, score=None, group="", id=0, latency_us=0):
        """Counts one inference. A feature or the prediction may be a category's or class's name, a missing one None."""
        texts, numbers = [], []
        for number, value in [*enumerate(features), (PREDICTION, prediction)]:
            if isinstance(value, str):
                texts.append(struct.pack("<HB", number, _length(value, "category")) + value.encode())
                value = None
            numbers.append(math.nan if value is None else float(value))
        name = group.encode()
        body = struct.pack("<QIffHBB", id, latency_us, _f32(numbers.pop()), math.nan if score is None else _f32(float(score)),
                           len(numbers), _length(group, "group"), len(texts))
        body += struct.pack(f"<{len(numbers)}f", *map(_f32, numbers)) + name + b"".join(texts)
        return self._add(OBSERVE, body)

    def label(self, id, value):
        """Tells what was true for the observation `id`: class index, value, or the class's name."""
        text = value if isinstance(value, str) else ""
        number = math.nan if text else _f32(float(value))
        return self._add(LABEL, struct.pack("<QfB", id, number, _length(text, "class")) + text.encode())

    def error(self, count=1):
        """Counts inferences that failed."""
        return self._add(ERROR, struct.pack("<I", count))

    def flush(self):
        """Tries again to hand over what waits; False: the agent is away or busy."""
        if not self._records:
            return True
        head = struct.pack("<2sBB16s", b"TM", VERSION, len(self._slot), bytes.fromhex(self._digest)) + self._slot
        try:
            self._socket.sendto(head + b"".join(self._records), self._address)
        except OSError:
            return False
        self._records, self._size = [], 0
        return True

    def _add(self, kind, body):
        room = DATAGRAM_MAX - 20 - len(self._slot)
        record = struct.pack("<BBH", kind, 0, len(body)) + body
        if len(record) > room:
            raise ValueError(f"the record has {len(record)} bytes; at most {room} fit a datagram")
        if self._size + len(record) > room and not self.flush():
            self.dropped += 1
            return False
        self._records.append(record)
        self._size += len(record)
        self.flush()
        return True


def _length(text, what):
    length = len(text.encode())
    if length > TEXT_MAX:
        raise ValueError(f"the {what} {text!r} has {length} bytes; at most {TEXT_MAX} are taken")
    return length


def _f32(value):
    """A double that is out of a float's range becomes an infinity, as in C."""
    return value if not math.isfinite(value) or abs(value) <= 3.4028234663852886e38 else math.copysign(math.inf, value)
