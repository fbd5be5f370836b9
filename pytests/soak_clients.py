"""Clients of a broker that is restarted under them: `tests/soak.rs` starts them and ends them with their input.

Usage: soak_clients.py PORT THREADS NUMBER THOUGHT_MAX_S CLAIMS    (prints what they saw as one line of JSON)
"""

import collections
import json
import pathlib
import random
import sys
import threading
import time

from ave.broker import Broker
from ave.exceptions import AveException, Restarting

GETS_MAX = 2
LIMIT_S = 30
WANTS = [{"type": "handset"}], [{"type": "relay"}], [{"type": "workspace"}], [{"type": "handset"}, {"type": "relay"}]


class Client(threading.Thread):
    """Gets, uses, gives back, and begins anew, until it is over."""

    def __init__(self, address, claims, thought_max_s, is_over, seed):
        super().__init__()
        self.address, self.claims, self.thought_max_s = address, claims, thought_max_s
        self.is_over, self.random = is_over, random.Random(seed)
        self.done, self.failed = collections.Counter(), collections.Counter()

    def run(self):
        while not self.is_over.is_set():
            with Broker(self.address, LIMIT_S) as broker:
                held = []
                try:
                    self.stay(broker, held)
                except Restarting:
                    self.done["restarting"] += 1
                    self.think()
                    self.use(held)
                except Exception as error:  # whatever it is, it is counted
                    self.failed[f"{type(error).__name__}: {str(error)[:80]}"] += 1
                for proxy in held:
                    self.claim(proxy).unlink()

    def stay(self, broker, held):
        for _ in range(self.random.randrange(GETS_MAX) + 1):
            got = broker.get(*self.random.choice(WANTS))
            self.done["gets"] += 1
            for proxy in got if isinstance(got, (list, tuple)) else [got]:
                try:
                    self.claim(proxy).touch(exist_ok=False)
                    held.append(proxy)
                except FileExistsError:
                    self.failed[f"lent twice: {proxy.profile}"] += 1
            self.use(held)
            self.think()
            if held and self.random.random() < 0.3:
                proxy = held.pop()
                self.claim(proxy).unlink()
                broker.yield_resources(proxy)
                self.done["yields"] += 1
            self.use(held)

    def use(self, held):
        for proxy in held:
            try:
                profile = proxy.get_profile()
            except AveException as error:
                self.failed[f"lost: {type(error).__name__}: {str(error)[:80]}"] += 1
                continue
            if all(profile.get(member) == proxy.profile.get(member) for member in ("serial", "uid")):
                self.done["calls"] += 1
            else:
                self.failed["a call was answered with something else"] += 1

    def claim(self, proxy):
        profile = proxy.profile
        return self.claims / "{}={}".format(profile["type"], profile.get("serial") or profile["uid"])

    def think(self):
        time.sleep(self.random.uniform(0, self.thought_max_s))


def main(port, threads, number, thought_max_s, claims):
    is_over = threading.Event()
    about = ("127.0.0.1", int(port)), pathlib.Path(claims), float(thought_max_s), is_over
    clients = [Client(*about, f"{number}.{n}") for n in range(int(threads))]
    for client in clients:
        client.start()
    sys.stdin.read()
    is_over.set()
    done, failed = collections.Counter(), collections.Counter()
    for client in clients:
        client.join()
        done += client.done
        failed += client.failed
    print(json.dumps({"done": done, "failed": failed}))


if __name__ == "__main__":
    main(*sys.argv[1:])
