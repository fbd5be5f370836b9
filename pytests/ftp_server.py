"""A real FTP server for tests: ``ftp_server.py ROOT PORT`` serves ROOT to lab:secret on loopback, says its port
and the logins it accepted, and ends when its standard input does."""

import logging
import os
import sys
import threading

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

root, port = sys.argv[1], int(sys.argv[2])


class Handler(FTPHandler):
    authorizer = DummyAuthorizer()

    def on_login(self, username):
        print("login", username, flush=True)


Handler.authorizer.add_user("lab", "secret", root, perm="elradfmwMT")
logging.basicConfig(level=logging.ERROR)
server = FTPServer(("127.0.0.1", port), Handler)
print(server.address[1], flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()
