"""A test script as a job would run it: get equipment, use it, end.

Usage: first_script.py [GIT_TREE]   (without an argument it makes a small tree of its own)
"""

import pathlib
import subprocess
import sys
import tempfile

import vcsjob
from ave.broker import Broker
from ave.broker.exceptions import Busy, NoSuch

from lists import name, show


def make_git_tree(path):
    """A repository with one file on branch main."""
    git = ["git", "-C", str(path), "-c", "user.name=demo", "-c", "user.email=demo@localhost"]
    pathlib.Path(path, "hello.sh").write_text("echo hello from the workspace\n")
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "Say hello"], check=True)


def run_job(git_tree):
    """Returns the exit status of the job."""
    broker = Broker()
    try:
        # One pair of parentheses: handset and relay of one stack, and a workspace on their host.
        handset, relay, workspace = broker.get((
            {"type": "handset", "pretty": "odin"},
            {"type": "relay", "circuits": ["usb.pc.vcc", "handset.battery"]},
            {"type": "workspace", "tools": ["sh"]},
        ))
    except Busy:
        return vcsjob.BUSY  # the scheduler tries again later

    print("got", ", ".join(map(name, (handset.profile, relay.profile, workspace.profile))))
    tree = workspace.download_git(git_tree, "main", timeout=60)
    code, output, _ = workspace.run(["sh", f"{tree}/hello.sh"], timeout=10)
    print(f"hello.sh ended with {code} and said: {output.strip()}")
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
    # Nothing is given back by hand: losing the Broker object, at the latest when the script ends, frees it all.
    return vcsjob.OK if code == 0 else vcsjob.FAILURES


def main():
    if len(sys.argv) > 1:
        return run_job(sys.argv[1])
    with tempfile.TemporaryDirectory() as path:
        make_git_tree(path)
        return run_job(path)


if __name__ == "__main__":
    sys.exit(main())
