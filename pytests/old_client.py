"""A client as those written before this broker are: 16-byte digests, JSON, one call at a time.

Written from the protocol's description, with nothing of ours, so that the tests can show what such clients see.
"""

import hmac
import json
import socket
import struct

LIMIT_S = 60


class Refused(Exception):
    """The exception of a reply: `type`, `message` and further members, or just a message."""

    def __init__(self, said):
        self.type = said["type"] if isinstance(said, dict) else None
        self.members = said if isinstance(said, dict) else {}
        super().__init__(said["message"] if isinstance(said, dict) else said)


class Connection:
    """One connection: the handshake, then requests and replies in turn."""

    def __init__(self, address, key=""):
        self.socket = socket.create_connection(tuple(address), LIMIT_S)
        challenge = self.receive()
        assert challenge[:11] == b"#CHALLENGE#" and len(challenge) == 31
        self.send(hmac.new(key.encode(), challenge[11:], "md5").digest())
        self.authenticated = json.loads(self.receive())["authenticated"]

    def send(self, payload):
        self.socket.sendall(struct.pack(">I", len(payload)) + payload)

    def receive(self):
        (length,) = struct.unpack(">I", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, count):
        received = b""
        while len(received) < count:
            piece = self.socket.recv(count - len(received))
            if not piece:
                raise EOFError
            received += piece
        return received

    def call(self, method, *vargs, resource=None, **kwargs):
        params = {"vargs": vargs, "kwargs": kwargs}
        request = {"method": method, "resource": resource, "params": params, "async": False}
        self.send(json.dumps(request).encode())
        reply = json.loads(self.receive())
        if "exception" in reply:
            raise Refused(reply["exception"])
        return reply["result"]

    def close(self):
        self.socket.close()


class Proxy:
    """A resource: a connection of its own, made at the first call, and the profile in every request."""

    def __init__(self, entry):
        self.address, self.key, self.profile = entry["address"], entry["authkey"], entry["profile"]
        self.connection = None

    def call(self, method, *vargs, **kwargs):
        self.connection = self.connection or Connection(self.address, self.key)
        return self.connection.call(method, *vargs, resource=self.profile, **kwargs)


class OldBroker(Connection):
    """A client's broker, with the classification of arguments that old clients make."""

    session = None

    def get(self, *wanted):
        replies = [self.call("get", *wanted)] if not self._is_multi(wanted) else []
        replies = replies or self.call("get_multi_resources", *wanted)
        groups = [reply["resources"] for reply in replies]
        if self.session is None:
            self.session = Connection(replies[0]["address"], replies[0]["authkey"])
        if self._is_multi(wanted):
            entries = self.session.call("get_multi_resource", *groups)
        else:
            entries = self.session.call("get_resources", *groups[0])
        return [Proxy(entry) for entry in entries]

    def yield_resources(self, *proxies):
        rest = self.call("yield_resources", *[proxy.profile for proxy in proxies])
        self.session.call("yield_resources", rest)

    @staticmethod
    def _is_multi(wanted):
        """Old clients look from the left, and stop at the first tuple or the first type that repeats."""
        seen = set()
        for each in wanted:
            if isinstance(each, tuple):
                return True
            if each["type"] in seen:
                return False
            seen.add(each["type"])
        return False
