"""Calls of a workspace through the wheel: what comes from Jenkins, what gets a name, what packages tell."""

import base64
import http.server
import threading

import pytest

from ave.broker import Broker
from ave.exceptions import AveException, RunError, Timeout

WORKSPACE = {"type": "workspace"}
ALLOWED = "Basic " + base64.b64encode(b"lab:secret").decode()
PAGES = {
    "/job/tests/api/json": b'{"lastSuccessfulBuild": {"number": 7}}',
    "/job/tests/7/api/json": b'{"artifacts": [{"relativePath": "out/a b.txt"}, {"relativePath": "c"}]}',
    "/job/tests/7/artifact/out/a%20b.txt": b"first",
    "/job/tests/7/artifact/c": b"second",
    "/job/empty/1/api/json": b'{"artifacts": []}',
}


class Jenkins(http.server.BaseHTTPRequestHandler):
    """Answers who may ask; of /slow/ it says nothing until the test is over."""

    over = threading.Event()

    def do_GET(self):
        if "/slow/" in self.path:
            self.over.wait()
        asked = self.headers.get("Authorization")
        status = 403 if asked is None else 401 if asked != ALLOWED else 200 if self.path in PAGES else 404
        content = PAGES[self.path] if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def jenkins(monkeypatch):
    monkeypatch.setattr(Jenkins, "over", threading.Event())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Jenkins) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Jenkins.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def granted(start_lab, jenkins):
    """Grants a workspace of a lab that has Jenkins, with this password there."""
    brokers = []

    def grant(password="secret", **account):
        auth = {jenkins: {"method": "basic", "user": "lab", "password": password, **account}}
        start_lab(files={"workspace": {"jenkins": jenkins}, "jenkins": {"auth": auth}})
        brokers.append(Broker())
        return brokers[0].get(WORKSPACE)

    yield grant
    for broker in brokers:
        broker.close()


def test_w12_a_build_is_fetched_with_the_account_of_jenkins_json(granted):
    workspace = granted()
    path = workspace.download_jenkins("tests")
    assert path == f"{workspace.get_path()}/jenkins/tests/7"
    assert workspace.cat("jenkins/tests/last_successful", "utf-8") == "7"
    assert workspace.cat(f"{path}/out/a b.txt", "utf-8") == "first"
    assert workspace.cat(f"{path}/c", "utf-8") == "second"
    only = workspace.download_jenkins("tests", 7, artifacts=["c"], dst="only")
    assert only == f"{workspace.get_path()}/only"
    assert workspace.ls("only") == [f"{only}/c"]
    with pytest.raises(AveException, match="^job has no artifacts: empty"):
        workspace.download_jenkins("empty", 1)
    with pytest.raises(AveException, match="404 Not Found"):
        workspace.download_jenkins("other")
    with pytest.raises(Timeout, match="timed out$"):
        workspace.download_jenkins("slow", timeout=0.2)


@pytest.mark.parametrize(
    ("account", "message"),
    [
        ({"password": "wrong"}, "Invalid authentication to http"),
        ({"method": None}, "requires authentication.*jenkins.json"),
    ],
    ids=["401", "403"],
)
def test_w12_who_may_not_ask_is_told_so(granted, account, message):
    with pytest.raises(AveException, match=message):
        granted(**account).download_jenkins("tests")


def test_w9_a_file_is_promoted_without_a_file_server(broker):
    workspace = broker.get(WORKSPACE)
    source = workspace.write_tempfile("text")
    assert workspace.promote(source_path=source, target="apps/name.txt") is None
    assert workspace.cat("apps/name.txt", "utf-8") == "text"
    assert workspace.path_exists(source, "file")
    with pytest.raises(AveException, match="^target file exists: apps/name.txt"):
        workspace.promote(source, "apps/name.txt")
    with pytest.raises(AveException, match="flocker is disable"):
        workspace.flocker_push_file(source)


def test_packages_and_reports_go_through_the_lab_s_tools(start_lab, tmp_path):
    for name, script in {
        "aapt": "echo \"package: name='com.example' versionCode='12'\"",
        "java": "echo refused; exit 1",
    }.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    tools = {name: str(tmp_path / name) for name in ("aapt", "java")}
    start_lab(files={"workspace": {"tools": tools}})
    with Broker() as broker:
        workspace = broker.get(WORKSPACE)
        package = workspace.write_tempfile("")
        assert workspace.get_package_name(package) == "com.example"
        assert workspace.get_apk_version(package) == 12
        assert workspace.get_aapt_path() == tools["aapt"]
        with pytest.raises(RunError, match="^Emma failed") as caught:
            workspace.make_coverage_report("a.em", "b.ec")
        assert caught.value.out == "refused\r\n"
