"""A server that misbehaves as a test says: it sends prepared frames and otherwise keeps silent."""

import contextlib
import socket
import struct
import threading

CHALLENGE = b"#CHALLENGE#" + bytes(20)
ACCEPTED = b'{"authenticated": true}'


class Peer:
    """One server and the clients it has accepted."""

    def __init__(self, payloads, then_close):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.greeting = frames(*payloads)
        self.then_close = then_close
        self.clients = []
        self.asked = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.clients.append(client)
                client.sendall(self.greeting)
                if self.then_close:
                    client.shutdown(socket.SHUT_WR)
                elif client.recv(1 << 16):  # the digest and the request arrive together
                    self.asked.set()

    def answer(self, payload):
        """Sends one more frame to the last client."""
        self.clients[-1].sendall(frames(payload))

    def close(self):
        for each in (self.listener, *self.clients):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        for each in (self.listener, *self.clients):
            each.close()


def frames(*payloads):
    return b"".join(struct.pack(">I", len(payload)) + payload for payload in payloads)


@contextlib.contextmanager
def peer(*payloads, then_close=False):
    """A server that sends these payloads to each client, waits for a first request, and keeps silent.

    A payload may be a reply that comes before its request.
    """
    server = Peer(payloads, then_close)
    try:
        yield server
    finally:
        server.close()
