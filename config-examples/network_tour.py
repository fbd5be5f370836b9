"""Leads through three joined labs: near forwards to middle, far shares with middle.

Usage: network_tour.py HOMES AVE_BROKER [OPTION...]
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from ave.broker import Broker
from ave.broker.exceptions import Busy, NoSuch
from ave.exceptions import AveException

HOMES, AVE_BROKER = pathlib.Path(sys.argv[1]), sys.argv[2:]
LABS = "near", "middle", "far"
FARS_PIECES = 3
LIMIT_S = 30
LOOK_AGAIN_S = 0.05

#: What only far has: a handset with the relay that it is wired to, and a workspace on their host.
WANTED = (
    {"type": "handset", "platform": "android"},
    {"type": "relay", "circuits": ["usb.pc.vcc"]},
    {"type": "workspace"},
)


def run_file(lab, name):
    return (HOMES / lab / ".ave" / "run" / name).read_text().strip()


def client(lab):
    """A script of that lab."""
    return Broker(home=HOMES / lab)


def place(port):
    """The lab whose broker listens there."""
    return next(lab for lab in LABS if run_file(lab, "port") == str(port))


def listed(lab, option):
    """What `ave-broker` prints there, as (name, where it is)."""
    command = [*AVE_BROKER, option, "--home", str(HOMES / lab)]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=LIMIT_S).stdout
    for paragraph in filter(None, text.split("\n\n")):
        title, *lines = paragraph.splitlines()
        members = dict(line.split(None, 1) for line in lines)
        name = f"{title.split()[0]} {members.get('serial') or title.split()[-1]}"
        yield name, f"at {place(members['broker'].split(':')[1])}" if "broker" in members else "here"


def show(title, *labs):
    """Prints the lists of these labs: what there is, where it is, and whether it can be had."""
    print(f"\n--- {title}")
    for lab in labs:
        free = list(listed(lab, "--list"))
        pieces = list(listed(lab, "--list-all"))
        for name, where in pieces:
            print(f"{lab:>6} lists  {name:18}{where:12}{'free' if (name, where) in free else 'taken'}")
        if not pieces:
            print(f"{lab:>6} lists  nothing")
    sys.stdout.flush()


def wait_until(what, holds):
    """Returns after how many seconds it holds."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() > began + LIMIT_S:
            sys.exit(f"waited {LIMIT_S} s for this: {what}")
        time.sleep(LOOK_AGAIN_S)
    return time.monotonic() - began


def free_at_far():
    """So many pieces of far can be had at middle."""
    return sum(where == "at far" for _, where in listed("middle", "--list"))


def says_closed(broker):
    with contextlib.suppress(AveException):
        broker.list_allocations()
        return False
    return True


def got(who, *resources):
    for each in resources:
        profile = each.profile
        name = profile.get("serial") or profile["uid"]
        print(f"{who} has {profile['type']} {name}, and calls it at {place(each.address[1])}")


def refused(who, broker, *wanted):
    try:
        broker.get(*wanted)
        sys.exit(f"{who} got {wanted}")
    except (Busy, NoSuch) as no:
        print(f"{who}: {type(no).__name__}: {no}")


def main():
    for lab in LABS:
        print(f"{lab:>6} listens at port {run_file(lab, 'port')}")
    wait_until("middle lists what far shares", lambda: free_at_far() == FARS_PIECES)
    show("joined: what far has is in middle's list; near only knows whom to ask", *LABS)

    print()
    own_client = client("middle")
    got("a client of middle", own_client.get({"type": "handset", "platform": "android"}))
    script = client("near")
    handset, relay, workspace = script.get(WANTED)
    got("a script of near", handset, relay, workspace)
    print("its workspace says:", workspace.run(["sh", "-c", "echo hello from far"])[1].strip())
    refused("another script of near", client("near"), {"type": "relay"})
    show("lent: at middle to its client, at far to the script of near", *LABS)

    far = int(run_file("far", "ave-broker.pid"))
    os.kill(far, signal.SIGSTOP)
    gone_s = wait_until("middle forgets far", lambda: free_at_far() == 0)
    show(f"far is cut off: silent, and after {gone_s:.2f} s out of middle's list", "near", "middle")
    print()
    wait_until("the session of the script ends", lambda: says_closed(script))
    print("the script of near lost its session")
    print("the client of middle still has handset", own_client.list_allocations()[0]["serial"])
    refused("a new script of near", client("near"), *WANTED)

    os.kill(far, signal.SIGCONT)
    back_s = wait_until("middle lists far again, all free", lambda: free_at_far() == FARS_PIECES)
    show(f"far is back: after {back_s:.2f} s in middle's list, with nothing left taken", *LABS)
    print()
    with client("near") as again:
        got("a new script of near", *again.get(WANTED))
    print("\nwhat the person on call reads in middle's log:")
    for line in (HOMES / "middle" / ".ave" / "log" / "ave-broker.log").read_text().splitlines():
        if "share" in line:
            print("   ", line)


if __name__ == "__main__":
    main()
