"""Prints the broker's own lists, as its administrator sees them. Usage: lists.py [--booted N] [--all-free] TITLE

With --booted it waits until so many handsets have booted, with --all-free until nothing is lent any more; it fails if
that does not happen.
"""

import argparse
import json
import pathlib
import sys
import time

from ave.broker import Broker

ALL_FREE_LIMIT_S = 30
BOOTED_LIMIT_S = 60
LOOK_AGAIN_S = 0.05


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
        print(f"{what:>10}: {' '.join(sorted(map(name, profiles))) or '-'}", flush=True)


def power_state(serial):
    """A handset's power state, as the broker lists it."""
    with admin() as broker:
        states = {profile.get("serial"): profile["power_state"] for profile in broker.list_equipment({"type": "handset"})}
    return states.get(serial)


def wait_for_power_state(serial, state, limit_s):
    """Returns after how many seconds the broker lists the handset so."""
    began = time.monotonic()
    wait_until(f"{serial} {state}", limit_s, lambda: [] if power_state(serial) == state else [power_state(serial)])
    return time.monotonic() - began


def wait_until(what, limit_s, missing):
    """Returns as soon as `missing()` is empty."""
    deadline = time.monotonic() + limit_s
    while found := missing():
        if time.monotonic() > deadline:
            sys.exit(f"waited {limit_s} s for {what}, but found: {found}")
        time.sleep(LOOK_AGAIN_S)


def taken():
    """What cannot be had at this moment."""
    with admin() as broker:
        return sorted(set(map(name, broker.list_equipment())) - set(map(name, broker.list_available())))


def not_booted(count):
    """The handsets that are listed, unless so many have booted."""
    with admin() as broker:
        handsets = broker.list_equipment({"type": "handset"})
    booted = [handset for handset in handsets if handset["power_state"] == "boot_completed"]
    return [] if len(booted) >= count else handsets or "no handset"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--booted", type=int, default=0, metavar="N")
    parser.add_argument("--all-free", action="store_true")
    parser.add_argument("title")
    options = parser.parse_args()
    wait_until(f"{options.booted} booted handsets", BOOTED_LIMIT_S, lambda: not_booted(options.booted))
    if options.all_free:
        wait_until("all to be free", ALL_FREE_LIMIT_S, taken)
    show(options.title)


if __name__ == "__main__":
    main()
