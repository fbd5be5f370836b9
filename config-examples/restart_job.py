"""A job that works for a while with a phone, the relay it hangs on, and a workspace, and says what it sees.

Usage: restart_job.py STEPS    (halfway it asks for more)
"""

import sys

import vcsjob
from ave.broker import Broker
from ave.broker.exceptions import Busy
from ave.exceptions import Restarting
from ave.network.exceptions import ConnectionClosed

from lists import name


def say(*words):
    print(*words, flush=True)


def work(step, handset, relay, workspace):
    """Takes half a second, most of it in one call, and needs what the last step left."""
    say(f"step {step} begins")
    workspace.run(["sh", "-c", f"sleep 0.5; echo {step} >> steps"])
    relay.set_circuit("usb.pc.vcc", True)
    handset.shell(["setprop", "job.step", str(step)])
    steps = workspace.run(["cat", "steps"])[1].split()
    say(f"step {step} done; phone at {handset.get_property('job.step')}, workspace at {' '.join(steps)}")


def ask_for_more(broker):
    """What a script sees whose broker has been replaced: the old one lends no more, a new one does."""
    try:
        say("asks for more:", name(broker.get({"type": "workspace"}).profile))
    except Restarting as restarting:
        say(f"asks for more: Restarting: {restarting}")
        with Broker() as another:
            say("a new Broker() gets", name(another.get({"type": "handset"}).profile))


def main(steps):
    broker = Broker()
    try:
        handset, relay, workspace = broker.get((
            {"type": "handset", "pretty": "togari"},
            {"type": "relay", "circuits": ["usb.pc.vcc"]},
            {"type": "workspace", "tools": ["sh", "cat"]},
        ))
    except Busy:
        return vcsjob.BUSY
    for resource in handset, relay, workspace:
        say("got", name(resource.profile))
    try:
        for step in range(1, steps + 1):
            work(step, handset, relay, workspace)
            if step == steps // 2:
                ask_for_more(broker)
    except ConnectionClosed:
        say("ConnectionClosed: the broker is gone, with all that it had lent")
        return vcsjob.ERROR  # the scheduler runs the job again
    say("all done")
    return vcsjob.OK


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
