"""What jobs upload: workspaces of the real broker against a real FTP server (W9, W13, W14)."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

from ave.broker import Broker
from ave.exceptions import AveException, Timeout
from conftest import LIMIT_S, wait_for

WORKSPACE = {"type": "workspace"}


class FileServer:
    """A running FTP server, and what a test wants to know of it."""

    def __init__(self, root):
        self.root, self.port, self.process = root, 0, None
        self.start()

    def start(self):
        program = pathlib.Path(__file__).with_name("ftp_server.py")
        command = [sys.executable, str(program), str(self.root), str(self.port)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def stop(self):
        """Kills it; returns how often somebody logged in."""
        self.process.kill()
        told, _ = self.process.communicate(timeout=LIMIT_S)
        return told.count("login lab")

    def stored(self, key):
        """The files of a key, by their paths."""
        top = self.root / "www" / "up" / key
        return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}

    def description(self, key):
        return json.loads((self.root / "www" / "up" / f"{key}.json").read_text())


@pytest.fixture
def files(tmp_path_factory):
    server = FileServer(tmp_path_factory.mktemp("ftp"))
    yield server
    server.stop()


@pytest.fixture
def flocker_lab(files, start_lab):
    """A lab that uploads there."""
    ftp = {"port": files.port, "user": "lab", "password": "secret", "timeout": 5, "store": "www/up"}
    http = {"port": 8080, "doc-root": "www"}
    flocker = {"enable": True, "host": "127.0.0.1", "ftp": ftp, "http": http}
    return start_lab(files={"workspace": {"flocker": flocker}})


@pytest.fixture
def workspace(flocker_lab):
    with Broker() as broker:
        yield broker.get(WORKSPACE)


def test_w13_files_lie_below_one_key_with_their_description(workspace, files):
    first = workspace.write_tempfile("first")
    told = workspace.flocker_push_file(first)
    key = told["key"]
    assert re.fullmatch("[a-z0-9]{32}", key)
    url = {"host": "127.0.0.1", "port": 8080, "path": f"up/{key}"}
    description = {"url": url, "contact": None, "asset": None, "comment": None}
    assert told == {**description, "key": key}
    second = workspace.write_tempfile("second")
    assert workspace.flocker_push_file(second, "logs/of å/today")["key"] == key
    assert files.stored(key) == {pathlib.Path(first).name: "first", "logs/of å/today": "second"}
    # The file of an older push is replaced, however long it was.
    workspace.flocker_push_file(first, dst="logs/of å/today", key=key)
    assert files.stored(key)["logs/of å/today"] == "first"
    assert files.description(key) == description


def test_w13_a_large_file_arrives_and_comes_back_whole(workspace, files):
    content = "0123456789abcdef" * 65536
    told = workspace.flocker_push_file(workspace.write_tempfile(content), "large")
    assert files.stored(told["key"]) == {"large": content}
    workspace.flocker_get_file("large", "new/folder/copy")
    assert workspace.get_checksum("new/folder/copy") == workspace.get_checksum(
        workspace.write_tempfile(content)
    )
    with pytest.raises(AveException, match="^flocker: "):
        workspace.flocker_get_file("none", "copy")
    assert workspace.ls(".", "tmp*") != []
    assert not workspace.path_exists("copy")


def test_w13_a_text_is_appended(workspace, files):
    key = workspace.flocker_push_string("one å\n", "logs/text")["key"]
    told = workspace.flocker_push_string("two\n", "logs/text", timeout=5)
    assert told["key"] == key
    assert files.stored(key) == {"logs/text": "one å\ntwo\n"}


def test_w13_two_workspaces_share_a_key(flocker_lab, files):
    with Broker() as broker:
        one, two, three = broker.get(WORKSPACE, WORKSPACE, WORKSPACE)
        key = one.flocker_push_string("one\n", "text")["key"]
        one.flocker_set_metadata(contact="mary")
        two.flocker_initial(existing_key=key)
        assert two.flocker_push_string("two\n", "text")["key"] == key
        assert three.flocker_push_file(three.write_tempfile("x"), "file", key)["contact"] == "mary"
        assert files.stored(key) == {"text": "one\ntwo\n", "file": "x"}
        assert len(list((files.root / "www" / "up").iterdir())) == 2
        for missing in ["none", "../up", "a/b", ""]:
            with pytest.raises(AveException, match=f"^Could not access {missing}$"):
                two.flocker_initial(missing)
            with pytest.raises(AveException, match=f"^Could not access {missing}$"):
                two.flocker_push_string("x", "y", missing)
        told = two.flocker_push_string("three\n", "text")
        assert (told["key"], told["contact"]) == (key, "mary")
        # What one says of the key the other does not take back.
        one.flocker_set_metadata(comment="of one")
        told = two.flocker_set_metadata(asset="of two")
        assert (told["contact"], told["asset"], told["comment"]) == ("mary", "of two", "of one")


def test_w13_a_custom_key_begins_with_its_words(workspace, files):
    workspace.flocker_initial(custom_key="my tests")
    key = workspace.flocker_push_string("x", "y")["key"]
    assert re.fullmatch("my tests_[a-z0-9]{32}", key)
    assert files.stored(key) == {"y": "x"}
    # Another beginning is another key.
    workspace.flocker_initial()
    assert workspace.flocker_push_string("x", "y")["key"] != key


def test_w13_the_description_keeps_what_is_not_said(workspace, files):
    workspace.flocker_set_metadata(contact="mary", comment="åäö")
    told = workspace.flocker_set_metadata("ignored", None, "phone 7")
    assert {name: told[name] for name in ("contact", "asset", "comment")} == {
        "contact": "mary",
        "asset": "phone 7",
        "comment": "åäö",
    }
    key = told["url"]["path"].rpartition("/")[2]
    assert "key" not in told
    assert files.description(key) == told


def test_w13_a_lost_connection_is_made_again_and_a_kept_one_used(workspace, files):
    key = workspace.flocker_push_string("a", "text")["key"]
    workspace.flocker_push_string("b", "text")
    assert files.stop() == 1
    with pytest.raises(AveException, match="^flocker: "):
        workspace.flocker_push_file(workspace.write_tempfile("x"), "file")
    with pytest.raises(Timeout, match="^push string timed out"):
        workspace.flocker_push_string("c", "text", timeout=0.2)
    files.start()
    assert workspace.flocker_push_string("d", "text", timeout=60)["key"] == key
    assert files.stored(key) == {"text": "abd"}


def test_w9_what_is_promoted_is_uploaded_under_its_name(workspace, files):
    source = workspace.write_tempfile("text")
    told = workspace.promote(source, "apps/today.txt")
    assert files.stored(told["key"]) == {"apps/today.txt": "text"}
    target = workspace.write_tempfile("more", promoted_target="apps/more.txt")
    assert target == f"{workspace.get_path()}/apps/more.txt"
    assert files.stored(told["key"]) == {"apps/today.txt": "text", "apps/more.txt": "more"}
    assert workspace.cat("apps/today.txt", "utf-8") == "text"
    # Down: the name is made all the same.
    files.stop()
    assert workspace.promote(source, "apps/again.txt") is None
    assert workspace.path_exists("apps/again.txt", "symlink")
    files.start()


def test_w14_a_job_sees_the_server_but_not_who_the_broker_is_there(workspace):
    for profile in (workspace.profile, workspace.get_profile()):
        assert profile["flocker"]["host"] == "127.0.0.1"
        assert set(profile["flocker"]["ftp"]) == {"port", "store", "timeout"}
        assert profile["wlan"]["auth"] == "not a secret"
        assert "secret" not in json.dumps(profile["flocker"])


def test_w13_nothing_is_open_after_the_session(flocker_lab, files):
    with Broker() as broker:
        broker.get(WORKSPACE).flocker_push_string("x", "y")
    sockets = pathlib.Path(f"/proc/{flocker_lab.process.pid}/net/tcp")
    peer = f":{files.port:04X} "
    established = " 01 "
    wait_for(
        lambda: not [
            line for line in sockets.read_text().splitlines() if peer in line[:32] and established in line
        ]
    )
