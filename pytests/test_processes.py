"""Threads, signals and forks, as test jobs use them."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import traceback
import warnings

import pytest

from ave.broker import Broker
from ave.network.exceptions import ConnectionClosed
from conftest import LIMIT_S, wait_for
from fake_peer import ACCEPTED, CHALLENGE, peer

HANDSET, WORKSPACE = {"type": "handset"}, {"type": "workspace", "tools": ["sleep"]}
PROFILE = b'{"result": {"type": "broker"}}'


# Threads


def test_other_threads_run_while_a_call_waits():
    with peer(CHALLENGE, ACCEPTED) as server:
        answers = []
        caller = threading.Thread(target=lambda: answers.append(Broker(server.address).get_profile()))
        caller.start()
        assert server.asked.wait(LIMIT_S)
        assert not answers
        server.answer(PROFILE)
        caller.join(LIMIT_S)
    assert answers == [{"type": "broker"}]


def test_threads_that_share_a_broker_get_the_answers_to_their_own_calls(admin):
    equipment = admin.list_equipment()
    wrong = []

    def ask(piece):
        for _ in range(20):
            if admin.list_equipment(piece) != [piece]:
                wrong.append(piece)

    threads = [threading.Thread(target=ask, args=(piece,)) for piece in equipment]
    assert len(threads) > 4
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@contextlib.contextmanager
def long_call(broker, workspace):
    """A call in another thread, which lasts until the broker is closed."""

    def sleep():
        with pytest.raises(ConnectionClosed):
            workspace.run(["sleep", "600"])

    workspace.get_path()  # so that the end closes a connection and does not refuse one
    thread = threading.Thread(target=sleep)
    thread.start()
    wait_for(lambda: not workspace._turn.acquire(blocking=False) or workspace._turn.release())
    yield
    assert thread.is_alive()
    broker.close()
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_a_long_call_delays_no_other_object_and_ends_with_the_broker(broker):
    sleeper, other = broker.get((WORKSPACE,), (WORKSPACE,))
    with long_call(broker, sleeper):
        assert other.get_path()
        assert len(broker.list_allocations()) == 2


# Ctrl-C

WAITING = """
import signal, sys
from ave.broker import Broker

signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
broker = Broker(("127.0.0.1", int(sys.argv[1])), timeout=None)
try:
    print(broker.get_profile())
except KeyboardInterrupt:
    print("interrupted")
"""

TAKING_TURNS = """
import os, sys, threading
from ave.broker import Broker

broker = Broker(("127.0.0.1", int(sys.argv[1])), timeout=None)
thread = threading.Thread(target=broker.get_profile, daemon=True)
thread.start()
sys.stdin.readline()
try:
    print("waiting", flush=True)
    broker.get_profile()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    os._exit(0)
"""


def script(source, server):
    # What runs in the background of a shell ignores Ctrl-C, and all that it starts inherits that.
    command = ["env", "--default-signal=INT", sys.executable, "-c", source, str(server.address[1])]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_ctrl_c_ends_a_waiting_call():
    with peer(CHALLENGE, ACCEPTED) as server, script(WAITING, server) as process:
        assert server.asked.wait(LIMIT_S)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=LIMIT_S) == ("interrupted\n", "")


def test_ctrl_c_ends_waiting_for_another_threads_turn():
    with peer(CHALLENGE, ACCEPTED) as server, script(TAKING_TURNS, server) as process:
        assert server.asked.wait(LIMIT_S)
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=LIMIT_S) == ("interrupted\n", "")


def test_a_signal_whose_handler_returns_does_not_end_a_call():
    with peer(CHALLENGE, ACCEPTED) as server, script(WAITING, server) as process:
        assert server.asked.wait(LIMIT_S)
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "handled\n"
        server.answer(PROFILE)
        assert process.communicate(timeout=LIMIT_S) == ("{'type': 'broker'}\n", "")


# Forks


def in_child(function):
    """Runs a function in a forked child; its failure is the test's."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forks of processes with threads
        pid = os.fork()
    if pid == 0:
        signal.alarm(LIMIT_S)  # the child's own limit: it has no one else
        try:
            function()
        except BaseException:
            os.write(writer, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writer)
    _, status = os.waitpid(pid, 0)
    with open(reader) as failure:
        text = failure.read()
    assert (status, text) == (0, "")


def all_closed(*calls):
    assert calls
    for call in calls:
        with pytest.raises(ConnectionClosed, match="^connection closed$"):
            call()


def test_a_child_cannot_use_its_parents_objects_nor_disturb_them(broker):
    used, unused = broker.get((HANDSET,), (WORKSPACE,))
    used.get_profile()

    def child():
        all_closed(
            used.get_profile,
            unused.get_path,
            broker.list_allocations,
            lambda: broker.get(HANDSET),
            lambda: broker.yield_resources(used),
        )
        broker.close()

    in_child(child)
    assert used.get_profile()
    assert unused.get_path()
    assert len(broker.list_allocations()) == 2


def test_a_child_can_have_a_broker_of_its_own(lab, broker):
    handset = broker.get(HANDSET)

    def child():
        with Broker() as own:
            assert own.get(HANDSET).profile != handset.profile

    in_child(child)
    assert broker.list_allocations() == [handset.profile]


def test_a_process_of_multiprocessing_is_a_child_too(broker):
    handset = broker.get(HANDSET)
    process = multiprocessing.get_context("fork").Process(target=all_closed, args=(handset.get_profile,))
    process.start()
    process.join(LIMIT_S)
    assert process.exitcode == 0
    assert handset.get_profile()


def test_a_child_forked_during_another_threads_call_does_not_wait_for_it(broker):
    workspace = broker.get(WORKSPACE)
    with long_call(broker, workspace):
        in_child(lambda: all_closed(workspace.get_path))


ORPHAN = """
import os, sys
from ave.broker import Broker

broker = Broker()
handset = broker.get({'type': 'handset'})
handset.get_profile()
if os.fork() == 0:
    print(handset.profile['serial'], flush=True)
    sys.stdin.read()
os._exit(0)
"""


def test_a_child_that_outlives_its_parent_does_not_keep_the_equipment(lab):
    command = [sys.executable, "-c", ORPHAN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline()
        assert parent.wait(LIMIT_S) == 0
        lab.wait_until_free()
