"""Owns one board, for all drivers of its sockets. Ends by itself when nobody is connected any more."""

import fcntl
import json
import os
import selectors
import socket
import sys

LINGER_S = 1

path = sys.argv[1]
lock = open(path + ".lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit()  # another one was faster
if os.path.exists(path):
    os.unlink(path)  # of one that was killed
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()

board = {}
ready = selectors.DefaultSelector()
ready.register(listener, selectors.EVENT_READ)
while (events := ready.select(LINGER_S)) or len(ready.get_map()) > 1:
    for key, _ in events:
        if key.fileobj is listener:
            connection = listener.accept()[0]
            ready.register(connection, selectors.EVENT_READ, connection.makefile("rw"))
        elif line := key.data.readline():
            request = json.loads(line)
            if request["method"] == "switch":
                board[request["socket"]] = request["on"]
                answer = {"result": None}
            else:
                answer = {"result": {"board": board, "helper": os.getpid()}}
            key.data.write(json.dumps(answer) + "\n")
            key.data.flush()
        else:
            ready.unregister(key.fileobj)
            key.data.close()
            key.fileobj.close()
os.unlink(path)
