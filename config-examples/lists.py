"""Prints the broker's own lists, as its administrator sees them.

With --all-free it waits until nothing is lent any more, and fails if that does not happen.
"""

import json
import pathlib
import sys
import time

from ave.broker import Broker

ALL_FREE_LIMIT_S = 5


def admin():
    """A connection with the admin key of this home's broker."""
    keys = pathlib.Path.home() / ".ave" / "config" / "authkeys.json"
    return Broker(authkey=json.loads(keys.read_text())["admin"])


def name(profile):
    """A piece of equipment in one word."""
    return "{}:{}".format(profile["type"], profile.get("serial") or profile.get("uid"))


def show(title):
    """Prints what is lent, what lies in a lent stack, and what can be had."""
    with admin() as broker:
        lists = {
            "allocated": broker.list_allocations_all(),
            "collateral": broker.list_collateral_all(),
            "available": broker.list_available(),
        }
    print(f"--- {title}")
    for what, profiles in lists.items():
        print(f"{what:>10}: {' '.join(sorted(map(name, profiles))) or '-'}")


def wait_until_all_free():
    """Returns as soon as all equipment can be had."""
    deadline = time.monotonic() + ALL_FREE_LIMIT_S
    with admin() as broker:
        while taken := set(map(name, broker.list_equipment())) - set(map(name, broker.list_available())):
            if time.monotonic() > deadline:
                sys.exit(f"still taken after {ALL_FREE_LIMIT_S} s: {' '.join(sorted(taken))}")
            time.sleep(0.01)


if __name__ == "__main__":
    if "--all-free" in sys.argv[1:]:
        wait_until_all_free()
    show(sys.argv[-1])
