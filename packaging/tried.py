"""What a lab owner does with the package, inside a Debian where nothing else is installed. See `try-deb`."""

import contextlib
import json
import os
import pathlib
import pwd
import signal
import subprocess
import time

from old_client import OldBroker, Refused

BROKER = ("127.0.0.1", 4000)
HOME = pathlib.Path("/var/lib/ave")
PATIENCE_S = 60
WORKSPACE = {"type": "workspace"}
# In tenths, of ten, by `systemd-analyze security`: what is left of it is what tools and drivers may need.
EXPOSURE_MAX = 55


def done(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=PATIENCE_S).stdout


def fails(*words):
    ended = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode != 0, words
    return ended.stdout + ended.stderr


def status():
    return json.loads(done("ave-broker", "--status", "--json"))


def service(name="ave-broker.service"):
    shown = done("systemctl", "show", "--property=MainPID,NRestarts,ActiveState", name)
    return dict(line.split("=", 1) for line in shown.split())


def wait_until(what, holds):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


def answers():
    with contextlib.suppress(subprocess.CalledProcessError):
        return status()["pid"] == int(service()["MainPID"])


def processes():
    """The brokers that run."""
    found = []
    for name in pathlib.Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            found += [name] if name.read_text().startswith("ave-") else []
    return found


def owner_of(pid):
    uid = pathlib.Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[0]
    return pwd.getpwuid(int(uid)).pw_name


@contextlib.contextmanager
def holding():
    """A client and a workspace that it has."""
    with contextlib.ExitStack() as ended:
        client = OldBroker(BROKER)
        ended.callback(client.close)
        workspace, = client.get(WORKSPACE)
        ended.callback(client.session.close)
        yield client, workspace, workspace.call("get_path")
        workspace.connection.close()


def lends():
    with holding() as (_, _, path):
        return os.path.isdir(path)


def installs():
    done("dpkg", "-i", "/root/first.deb")
    assert answers() and service()["ActiveState"] == "active"
    assert owner_of(status()["pid"]) == "ave"
    assert json.loads(pathlib.Path("/etc/ave/user").read_text())["home"] == str(HOME)
    assert service("ave-adb-server.service")["ActiveState"] == "inactive"


def units_are_as_systemd_wants_them():
    units = "ave-broker.service", "ave-broker.socket", "ave-adb-server.service"
    verified = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=PATIENCE_S)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", ""), verified
    for unit in units[0], units[2]:
        rated = done("systemd-analyze", "security", "--no-pager", f"--threshold={EXPOSURE_MAX}", unit)
        print(rated.splitlines()[-1][2:])


def upgrades_under_a_session():
    before = status()
    with holding() as (client, workspace, path):
        done("dpkg", "-i", "/root/newer.deb")
        after = status()
        assert answers() and after["generation"] == before["generation"] + 1
        assert [(elder["pid"], elder["sessions"]) for elder in after["elders"]] == [(before["pid"], 1)], after
        assert workspace.call("get_path") == path and os.path.isdir(path)
        try:
            client.get(WORKSPACE)
        except Refused as refused:
            assert refused.type == "Restarting", refused
        else:
            raise AssertionError("the old process lends")
        assert lends()
    wait_until("the old process has ended", lambda: not status()["elders"])
    assert not os.path.exists(path)
    assert answers() and service()["NRestarts"] == "0"


def a_reload_that_fails_changes_nothing():
    before = status()
    file = HOME / ".ave/config/broker.json"
    good = file.read_text()
    file.write_text('{"port": "invalid"}')
    fails("systemctl", "reload", "ave-broker")
    file.write_text(good)
    assert answers() and status()["pid"] == before["pid"]
    assert "systemctl reload" in fails("ave-broker", "--restart")
    assert status()["pid"] == before["pid"]
    log = done("journalctl", "--unit=ave-broker", "--no-pager")
    assert "broker attribute \"port\" must be on the form" in log, log


def a_broker_that_hangs_or_crashes_is_replaced():
    for number, blow in (1, signal.SIGSTOP), (2, signal.SIGKILL):
        with holding() as (_, _, path):
            os.kill(status()["pid"], blow)
            wait_until("another one answers", lambda n=number: service()["NRestarts"] == str(n) and answers())
            wait_until("nothing is left of it", lambda gone=path: not os.path.exists(gone))
            assert lends()


def a_socket_of_systemd_starts_it():
    done("systemctl", "disable", "--now", "ave-broker.service")
    assert processes() == []
    done("systemctl", "enable", "--now", "ave-broker.socket")
    assert processes() == []
    with holding() as (_, workspace, path):
        assert answers()
        done("systemctl", "reload", "ave-broker")
        assert workspace.call("get_path") == path and status()["elders"]
        assert lends()
        done("systemctl", "stop", "ave-broker.service")
        assert processes() == []
    assert lends()
    done("systemctl", "disable", "--now", "ave-broker.socket", "ave-broker.service")


def goes_without_a_trace():
    done("systemctl", "enable", "--now", "ave-broker.service")
    done("dpkg", "-r", "ave-broker")
    assert processes() == []
    assert (HOME / ".ave/config/authkeys.json").exists()
    done("dpkg", "-P", "ave-broker")
    assert not HOME.exists() and not os.path.exists("/etc/ave")
    assert "ave" not in [user.pw_name for user in pwd.getpwall()]


def leaves_a_labs_own_user_alone():
    done("useradd", "--create-home", "lab")
    os.makedirs("/etc/ave")
    pathlib.Path("/etc/ave/user").write_text('{"name": "lab"}')
    done("dpkg", "-i", "/root/first.deb")
    assert answers() and owner_of(status()["pid"]) == "lab"
    done("dpkg", "-P", "ave-broker")
    assert processes() == [] and os.path.exists("/etc/ave/user")
    assert os.path.exists("/home/lab/.ave/config/authkeys.json")


def without_systemd(*words):
    hidden = 'mount -t tmpfs none /run/systemd && exec "$@"'
    return done("unshare", "--mount", "sh", "-c", hidden, "sh", *words)


def a_host_without_systemd_has_a_daemon():
    without_systemd("dpkg", "-i", "/root/first.deb")
    before = status()
    assert owner_of(before["pid"]) == "lab"
    with holding():
        without_systemd("dpkg", "-i", "/root/newer.deb")
        after = status()
        assert after["generation"] == before["generation"] + 1 and after["elders"][0]["sessions"] == 1
    without_systemd("dpkg", "-r", "ave-broker")
    assert processes() == []


tries = [
    installs,
    units_are_as_systemd_wants_them,
    upgrades_under_a_session,
    a_reload_that_fails_changes_nothing,
    a_broker_that_hangs_or_crashes_is_replaced,
    a_socket_of_systemd_starts_it,
    goes_without_a_trace,
    leaves_a_labs_own_user_alone,
    a_host_without_systemd_has_a_daemon,
]
for each in tries:
    try:
        each()
    except subprocess.CalledProcessError as error:
        print(each.__name__, "FAILED:", error, error.stdout, error.stderr, sep="\n")
        raise
    print(each.__name__, "ok", flush=True)
