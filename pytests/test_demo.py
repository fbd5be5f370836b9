"""What `make demo` runs, which is what the README shows first."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from conftest import BINARY, ROOT

DEMO_LIMIT_S = 120
SIMULATED = pathlib.Path(BINARY).with_name("ave-simulated")


@pytest.fixture
def demo(tmp_path):
    """The running demo, which keeps everything in `tmp_path`."""
    command = [ROOT / "config-examples" / "demo", BINARY, SIMULATED, sys.executable]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as running:
        yield running
        running.kill()


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
