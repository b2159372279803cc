"""The smallest MQTT 3.1.1 client that can prove an access list: connect by certificate, subscribe, publish, receive.

SPDX-License-Identifier: Apache-2.0
"""
import socket
import ssl
import struct


def _text(value):
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def _packet(kind, body):
    size, head = len(body), b""
    while True:
        size, low = size >> 7, size & 0x7F
        head += bytes([low | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + head + body


class Refused(Exception):
    """The broker did not let us in."""


class Client:
    def __init__(self, port, ca, certificate, key, client_id="any", timeout=5):
        context = ssl.create_default_context(cafile=ca)
        if certificate:
            context.load_cert_chain(certificate, key)
        try:
            plain = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        except OSError as reason:
            raise Refused(str(reason)) from reason
        self.sock = plain
        try:
            self.sock = context.wrap_socket(plain, server_hostname="127.0.0.1")
            self.sock.sendall(_packet(0x10, _text("MQTT") + b"\x04\x02\x00\x3c" + _text(client_id)))
            kind, body = self.receive()
        except (ssl.SSLError, OSError) as reason:
            self.sock.close()
            raise Refused(str(reason)) from reason
        if kind != 0x20 or body[1] != 0:
            self.sock.close()
            raise Refused(f"CONNACK {body!r}")

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise ConnectionResetError("closed by the broker")
            data += piece
        return data

    def receive(self):
        kind, size, shift = self._exactly(1)[0], 0, 0
        while True:
            byte = self._exactly(1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return kind, self._exactly(size)

    def subscribe(self, topic):
        """True: granted."""
        self.sock.sendall(_packet(0x82, b"\x00\x01" + _text(topic) + b"\x01"))
        while True:
            kind, body = self.receive()
            if kind == 0x90:
                return body[2] != 0x80

    def publish(self, topic, payload):
        """QoS 1; returns when the broker acknowledged (which it does for refused topics, too)."""
        self.sock.sendall(_packet(0x32, _text(topic) + b"\x00\x07" + payload))
        while True:
            kind, _ = self.receive()
            if kind == 0x40:
                return

    def messages(self, wait_s):
        """Topics and payloads that come within wait_s of silence."""
        found = []
        self.sock.settimeout(wait_s)
        try:
            while True:
                kind, body = self.receive()
                if kind & 0xF0 == 0x30:
                    length = struct.unpack(">H", body[:2])[0]
                    at = 2 + length + (2 if kind & 0x06 else 0)
                    found.append((body[2:2 + length].decode(), body[at:]))
        except (TimeoutError, ssl.SSLError, OSError):
            return found

    def close(self):
        self.sock.close()
