"""What `make demo`, `make demo-network` and `make demo-restart` run, which is what the README shows."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from conftest import BINARY, ROOT

DEMO_LIMIT_S = 300
SIMULATED = pathlib.Path(BINARY).with_name("ave-simulated")


@contextlib.contextmanager
def running(demo, folder, *arguments):
    """The running demo, which keeps everything in that folder."""
    command = [ROOT / "config-examples" / demo, *arguments, sys.executable]
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        yield process
        process.kill()


def commands():
    """The command lines of all processes."""
    lines = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            lines.append(path.read_bytes())
    return lines


@pytest.fixture
def demo(tmp_path):
    with running("demo", tmp_path, BINARY, SIMULATED) as process:
        yield process


@pytest.fixture
def demo_restart(tmp_path):
    with running("demo-restart", tmp_path, BINARY, SIMULATED) as process:
        yield process


@pytest.fixture
def demo_network(tmp_path):
    with running("demo-network", tmp_path, BINARY) as process:
        yield process


def test_the_demo_shows_a_phone_at_work_and_leaves_nothing(demo, tmp_path):
    output, errors = demo.communicate(timeout=DEMO_LIMIT_S)
    assert demo.returncode == 0, output + errors
    shown = ["installed com.example.hello, version 7", "from the phone", "as offline", "as boot_completed"]
    assert [text for text in shown if text not in output] == [], output
    assert list(tmp_path.iterdir()) == []


def test_a_terminated_demo_leaves_nothing(demo, tmp_path):
    for line in demo.stdout:
        if line.startswith("got handset:"):
            break
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=DEMO_LIMIT_S)
    assert demo.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_the_network_demo_cuts_a_lab_off_and_sees_it_return(demo_network, tmp_path):
    output, errors = demo_network.communicate(timeout=DEMO_LIMIT_S)
    assert demo_network.returncode == 0, output + errors
    shown = ["hello from far", "cut off", "still has handset MIDDLE1", "is back", "a new script of near has relay far-a"]
    assert [text for text in shown if text not in output] == [], output
    assert list(tmp_path.iterdir()) == []


def test_a_terminated_network_demo_leaves_nothing_not_even_a_stopped_broker(demo_network, tmp_path):
    for line in demo_network.stdout:
        if line.startswith("--- far is cut off"):
            break
    demo_network.send_signal(signal.SIGTERM)
    demo_network.communicate(timeout=DEMO_LIMIT_S)
    assert demo_network.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_the_restart_demo_shows_a_job_that_goes_on_and_one_that_is_run_again(demo_restart, tmp_path):
    output, errors = demo_restart.communicate(timeout=DEMO_LIMIT_S)
    assert demo_restart.returncode == 0, output + errors
    shown = ["workspace at 1 2 3 4 5 6", "Restarting: broker is restarting", "a new Broker() gets", "ConnectionClosed", "all done"]
    assert [text for text in shown if text not in output] == [], output
    assert output.count("--- ave-broker --restart: ") == 3, output
    assert list(tmp_path.iterdir()) == []


def test_a_terminated_restart_demo_leaves_nothing_of_any_generation(demo_restart, tmp_path):
    for line in demo_restart.stdout:
        if line.startswith("step 4 begins"):
            break
    demo_restart.send_signal(signal.SIGTERM)
    demo_restart.communicate(timeout=DEMO_LIMIT_S)
    assert demo_restart.returncode == 130
    assert list(tmp_path.iterdir()) == []
    assert commands() and not [command for command in commands() if os.fsencode(tmp_path) in command]
