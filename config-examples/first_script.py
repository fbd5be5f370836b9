"""A test script as a job would run it: get equipment, use it, end.

Usage: first_script.py [GIT_TREE]   (without an argument it makes a small tree of its own)
"""

import pathlib
import subprocess
import sys
import tempfile
import time

import vcsjob
from ave.broker import Broker
from ave.broker.exceptions import Busy, NoSuch

from lists import name, show, wait_for_power_state

PACKAGE = "com.example.hello"
LOG_LIMIT_S = 10
GONE_LIMIT_S = 10
BOOT_LIMIT_S = 30


def make_git_tree(path):
    """A repository with one file on branch main: a package for a simulated phone."""
    git = ["git", "-C", str(path), "-c", "user.name=demo", "-c", "user.email=demo@localhost"]
    pathlib.Path(path, "hello.apk").write_text(f"package={PACKAGE}\nversion_code=7\n")
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "Say hello"], check=True)


def install(handset, apk):
    handset.install(apk)
    print(f"installed {PACKAGE}, version {handset.get_package_version(PACKAGE)}")


def read_log(handset):
    """Has the phone say something, and reads it in its log."""
    log = handset.start_logcat()
    handset.shell(["log", "-t", "hello", "from the phone"])
    text, deadline = "", time.monotonic() + LOG_LIMIT_S
    while "from the phone" not in text and time.monotonic() < deadline:
        text += handset.get_logcat_log(log)
    handset.stop_logcat(log)
    print("its log says:", *(line.strip() for line in text.splitlines() if "from the phone" in line))


def cut_the_cable(handset, relay):
    """Switches the handset's USB supply off and on again, and follows it in the broker's list."""
    serial = handset.profile["serial"]
    relay.set_circuit("usb.pc.vcc", False)
    gone = wait_for_power_state(serial, "offline", GONE_LIMIT_S)
    print(f"usb.pc.vcc is open: the broker lists {serial} as offline after {gone:.1f} s")
    relay.set_circuit("usb.pc.vcc", True)
    back = wait_for_power_state(serial, "boot_completed", BOOT_LIMIT_S)
    print(f"usb.pc.vcc is closed: the broker lists {serial} as boot_completed after {back:.1f} s")


def run_job(git_tree):
    """Returns the exit status of the job."""
    broker = Broker()
    try:
        # One pair of parentheses: handset and relay of one stack, and a workspace on their host.
        handset, relay, workspace = broker.get((
            {"type": "handset", "pretty": "togari"},
            {"type": "relay", "circuits": ["usb.pc.vcc"]},
            {"type": "workspace", "tools": ["git"]},
        ))
    except Busy:
        return vcsjob.BUSY  # the scheduler tries again later

    print("got", ", ".join(map(name, (handset.profile, relay.profile, workspace.profile))))
    show("during the script")
    try:
        Broker().get({"type": "handset", "serial": handset.profile["serial"]})
        return vcsjob.FAILURES
    except Busy as busy:
        print(f"a second client: Busy: {busy}")
    try:
        Broker().get({"type": "handset", "pretty": "no such phone"})
        return vcsjob.FAILURES
    except NoSuch as no_such:
        print(f"a third client: NoSuch: {no_such}")

    tree = workspace.download_git(git_tree, "main", timeout=60)
    install(handset, f"{tree}/hello.apk")
    read_log(handset)
    cut_the_cable(handset, relay)
    print("and it still has", *handset.list_packages())
    # Nothing is given back by hand: losing the Broker object, at the latest when the script ends, frees it all.
    return vcsjob.OK


def main():
    if len(sys.argv) > 1:
        return run_job(sys.argv[1])
    with tempfile.TemporaryDirectory() as path:
        make_git_tree(path)
        return run_job(path)


if __name__ == "__main__":
    sys.exit(main())
