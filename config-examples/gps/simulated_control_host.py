#!/usr/bin/env python3
"""Imitates the control host of a satellite simulator on loopback, for tests and for trying things out.

Usage: simulated_control_host.py [PORT]    (prints the port it listens on; without one, any that is free)

A client sends lines and gets one line for each, "OK", "OK <what was asked for>" or "ERROR <why>":

    LOAD <scenario>     START     STOP     REWIND     POSITION <latitude> <longitude> <altitude>     STATUS

There is room for one client: whoever connects throws out the one before.
"""

import json
import selectors
import socket
import sys

SCENARIOS = ["munich-city", "lund-harbour", "tokyo-tunnel"]
LINE_BYTES_MAX = 4096


class Simulator:
    """What a control host drives."""

    def __init__(self):
        self.rewind()

    def rewind(self):
        self.state = {"scenario": None, "running": False, "position": None}

    def obey(self, line):
        """Does what a line says; returns the answer."""
        command, *words = line.split(" ")
        try:
            if command == "LOAD" and len(words) == 1:
                if words[0] not in SCENARIOS:
                    return f"ERROR no such scenario: {words[0]}"
                if self.state["running"]:
                    return "ERROR a scenario is running"
                self.state["scenario"] = words[0]
            elif command == "START" and not words:
                if self.state["scenario"] is None:
                    return "ERROR no scenario is loaded"
                self.state["running"] = True
            elif command == "STOP" and not words:
                self.state["running"] = False
            elif command == "REWIND" and not words:
                self.rewind()
            elif command == "POSITION" and len(words) == 3:
                self.state["position"] = [float(word) for word in words]
            elif command == "STATUS" and not words:
                return "OK " + json.dumps(self.state)
            else:
                return f"ERROR not understood: {line}"
        except ValueError:
            return f"ERROR not understood: {line}"
        return "OK"


def serve(listener):
    """Serves one client at a time, for ever."""
    simulator, client, pending = Simulator(), None, b""
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is listener:
                if client is not None:
                    ready.unregister(client)
                    client.close()
                client, pending = listener.accept()[0], b""
                ready.register(client, selectors.EVENT_READ)
            elif key.fileobj is client:
                try:
                    received = client.recv(LINE_BYTES_MAX)
                    *lines, pending = (pending + received).split(b"\n")
                    for line in lines:
                        client.sendall(simulator.obey(line.decode("utf-8", "replace")).encode() + b"\n")
                except OSError:
                    received = b""
                if not received or len(pending) > LINE_BYTES_MAX:
                    ready.unregister(client)
                    client.close()
                    client = None


if __name__ == "__main__":
    try:
        with socket.create_server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0)) as listener:
            print(listener.getsockname()[1], flush=True)
            serve(listener)
    except KeyboardInterrupt:
        pass
