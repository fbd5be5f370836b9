"""A tree of jobs: what it may say, how its jobs are run, and the command. (Equipment 6.2 to 6.5.)"""

import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import time

import pytest
import vcsjob

from ave.exceptions import AveException
from conftest import LIMIT_S, wait_for

ENDING_SIGNALS = sorted(
    set(signal.valid_signals())
    - {signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    - {signal.SIGURG, signal.SIGWINCH}
)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Makes a tree of jobs: each is its shell script and its other keys."""
    monkeypatch.delenv("VCSJOB_GUID", raising=False)
    root = tmp_path / "tree"
    root.mkdir()

    def make(**jobs):
        executables = []
        for name, (script, keys) in jobs.items():
            (root / name).write_text(f"#!/bin/sh\n{script}\n")
            (root / name).chmod(0o755)
            executables.append({"path": name, **keys})
        (root / ".vcsjob").write_text(json.dumps({"executables": executables}))
        return root

    return make


def run_job(root, log, **options):
    """The status of the tree's first job, and what is in its log after the header."""
    status = vcsjob.execute_job(root, vcsjob.load_jobs(root)[0], log_path=log, **options)
    return status, log.read_bytes().partition(b"\n")[2].decode()


def command(*arguments, **options):
    line = [sys.executable, "-W", "error", "-m", "vcsjob", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, **options)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, 'does not have the "path" attribute'),
        ({"path": 1}, '"path" attribute is not a string'),
        ({"path": "/bin/sh"}, "job path is not relative"),
        ({"path": "../outside"}, "not inside the job tree"),
        ({"path": "link"}, "not inside the job tree"),
        ({"path": "absent"}, "no such file:"),
        ({"path": "nul\0"}, "no such file:"),
        ({"path": "half \ud800"}, "no such file:"),
        ({"path": "circle"}, "no such file:"),
        ({"path": "."}, "not a regular file:"),
        ({"path": "plain"}, "file is not executable:"),
        ({"tags": "a"}, '"tags" attribute is not a list'),
        ({"tags": [1]}, '"tags" attribute is not a list'),
        ({"banner": 1}, '"banner" attribute must be a string'),
        ({"profiles": {}}, "profiles must be a list"),
        ({"profiles": ["x"]}, "profile is not a dictionary"),
        ({"coverage": "x"}, '"coverage" attribute is not a list of strings'),
        ({"coverage": [1]}, '"coverage" attribute is not a list of strings'),
        ({"dirty": 1}, '"dirty" attribute is not a boolean value'),
        ({"virgin": None}, '"virgin" attribute is not a boolean value'),
        ({"duration": 1.5}, '"duration" attribute is not an integer'),
        ({"duration": True}, '"duration" attribute is not an integer'),
        ({"duration": -1}, '"duration" attribute is negative'),
    ],
    ids=str,
)
def test_v2_a_bad_description_is_named_with_its_place(tree, tmp_path, entry, message):
    root = tree(good=("", {}))
    (tmp_path / "outside").write_text("#!/bin/sh\n")
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "circle").symlink_to("circle")
    (root / "plain").write_text("")
    entry = entry if "path" in entry or not entry else {"path": "good", **entry}
    (root / ".vcsjob").write_text(json.dumps({"executables": [{"path": "good"}, entry]}))
    with pytest.raises(AveException, match=re.escape("executables[1]: ") + ".*" + re.escape(message)):
        vcsjob.load_jobs(root)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"executables": {}}', b"\xff", b"[" * 100_000, None], ids=repr
)
def test_v2_a_file_that_says_nothing_is_refused(tree, content):
    root = tree()
    (root / ".vcsjob").unlink()
    if content is None:
        os.mkfifo(root / ".vcsjob")
    else:
        (root / ".vcsjob").write_bytes(content)
    with pytest.raises(AveException, match=f"^could not load {re.escape(str(root))}/.vcsjob: "):
        vcsjob.list_jobs(root)


def test_v2_no_directory_and_no_file(tmp_path):
    with pytest.raises(AveException, match="^not a jobs directory: "):
        vcsjob.load_jobs(tmp_path / "absent")
    with pytest.raises(AveException, match="^could not load "):
        vcsjob.load_jobs(tmp_path)


def test_v2_banner_and_coverage_are_any_unicode(tree):
    root = tree(job=("", {"banner": "blåbär ☃", "coverage": ["å"]}))
    (job,) = vcsjob.load_jobs(root)
    assert (job["banner"], job["coverage"], job["duration"]) == ("blåbär ☃", ["å"], None)
    assert "blåbär ☃" in command("list", "-j", root).stdout


def test_v3_a_job_is_taken_if_it_has_every_tag(tree, tmp_path):
    root = tree(one=("", {"tags": ["a"]}), both=("", {"tags": ["b", "a"]}), none=("", {}))
    assert vcsjob.list_jobs(root) == ["one", "both", "none"]
    assert vcsjob.list_jobs(root, ["a"]) == ["one", "both"]
    assert vcsjob.list_jobs(root, ["a", "b"]) == ["both"]
    assert vcsjob.execute_tags(root, ["c"], log_path=tmp_path / "log") == vcsjob.NORUN
    assert "no jobs were executed" in (tmp_path / "log").read_text()
    with pytest.raises(AveException, match="^tags must be a list"):
        vcsjob.list_jobs(root, "a")


def test_v4_a_job_sees_the_white_list_and_lang(tree, tmp_path, monkeypatch):
    root = tree(job=("/usr/bin/env", {}))
    monkeypatch.setenv("LANG", "sv_SE.UTF-8")
    monkeypatch.setenv("WANTED", "this")
    monkeypatch.setenv("SECRET", "that")
    before = dict(os.environ)
    status, output = run_job(root, tmp_path / "log", env=["WANTED"], guid="7")
    assert status == vcsjob.OK
    seen = dict(line.split("=", 1) for line in output.splitlines())
    assert {name for name in seen if name not in ("PWD", "_", "SHLVL", "OLDPWD")} == {
        "LANG", "WANTED", "VCSJOB_GUID", "VCSJOB_LOG_PATH"
    }  # fmt: skip
    assert dict(os.environ) == before
    with pytest.raises(AveException, match='^environment variable "NO SUCH" is not set$'):
        vcsjob.execute_tags(root, env_vars=["NO SUCH"])
    assert dict(os.environ) == before


def test_v5_profiles_guid_and_log_path_reach_the_job(tree, tmp_path):
    profiles = [{"type": "handset", "pretty": "blåbär"}, [{"type": "handset"}, {"type": "relay"}]]
    root = tree(job=("", {"profiles": profiles}))
    python = pathlib.Path(vcsjob.__file__).parent.parent
    lines = [
        f"#!{sys.executable}",
        f"import sys; sys.path.insert(0, {str(python)!r})",
        "import vcsjob; print(ascii((vcsjob.get_profiles(), vcsjob.get_guid(), vcsjob.get_log_path())))",
    ]
    (root / "job").write_text("\n".join(lines))
    status, output = run_job(root, tmp_path / "new" / "log", guid="nightly å")
    assert (status, output.strip()) == (
        vcsjob.OK,
        ascii(([profiles[0], tuple(profiles[1])], "nightly å", str(tmp_path / "new" / "log"))),
    )


def test_v5_what_was_not_given_is_absent(tree, capfd, monkeypatch):
    monkeypatch.setenv("VCSJOB_PROFILES", "[]")
    monkeypatch.setenv("VCSJOB_GUID", "7")
    root = tree(job=("/usr/bin/env", {}))
    assert vcsjob.execute_job(root, {"path": "job"}) == vcsjob.OK
    assert "VCSJOB_" not in capfd.readouterr().err
    monkeypatch.delenv("VCSJOB_LOG_PATH", raising=False)
    with pytest.raises(AveException, match="^no log path set$"):
        vcsjob.get_log_path()


def test_v6_the_log_begins_with_a_header_and_keeps_the_order(tree, tmp_path):
    root = tree(job=("test -t 0 && echo one; echo två >&2; printf three", {"profiles": [{"type": "relay"}]}))
    log = tmp_path / "log"
    log.write_text("old " * 1000)
    assert vcsjob.execute_single(root, "job", log_path=log, guid="g") == vcsjob.OK
    header, rest = log.read_bytes().decode().split("\n", 1)
    assert header.startswith('vcsjob: {"environment": ')
    said = json.loads(header[len("vcsjob: ") :])
    assert list(said) == ["environment", "exe", "guid", "profiles"]
    assert (said["exe"], said["guid"], said["profiles"]) == (str(root / "job"), "g", [{"type": "relay"}])
    assert rest == "one\r\ntvå\r\nthree"


def test_v6_without_a_path_the_log_is_standard_error(tree, capfd):
    root = tree(job=("echo hello", {}))
    assert vcsjob.execute_tags(root) == vcsjob.OK
    printed = capfd.readouterr()
    assert (printed.out, printed.err.startswith("vcsjob: {"), printed.err[-7:]) == ("", True, "hello\r\n")


def test_v6_all_jobs_of_a_run_share_its_log(tree, tmp_path):
    root = tree(one=("echo first", {}), two=("echo second", {}))
    assert vcsjob.execute_tags(root, log_path=tmp_path / "log") == vcsjob.OK
    assert re.findall("first|second", (tmp_path / "log").read_text()) == ["first", "second"]


def test_v6_much_output_arrives_whole(tree, tmp_path):
    root = tree(job=("yes 0123456789 | head -n 100000", {}))
    assert run_job(root, tmp_path / "log", env=["PATH"]) == (vcsjob.OK, "0123456789\r\n" * 100_000)


@pytest.mark.parametrize("status", [0, 1, 4, 100, 127, 128, 200, 255])  # 4: V9, a busy job
def test_v7_v9_a_job_s_status_is_returned_as_it_is(tree, tmp_path, status):
    assert run_job(tree(job=(f"exit {status}", {})), tmp_path / "log")[0] == status


@pytest.mark.parametrize("number", ENDING_SIGNALS)
def test_v7_every_signal_is_killed(tree, tmp_path, number):
    # Whoever has started the tests may ignore a signal, as `nohup` does, and all that they start inherits that.
    job = f"exec /usr/bin/env --default-signal /bin/sh -c 'kill -{int(number)} $$'"
    assert run_job(tree(job=(job, {})), tmp_path / "log")[0] == vcsjob.KILLED


def test_v7_the_duration_ends_a_job_and_all_it_started(tree, tmp_path):
    root = tree(job=("sleep 60 & echo $!; trap '' TERM HUP; wait; sleep 60", {"duration": 3}))
    status, output = run_job(root, tmp_path / "log", env=["PATH"])
    assert status == vcsjob.TIMEOUT
    wait_for(lambda: gone(int(output)))


def test_v7_what_a_job_leaves_behind_ends_with_it(tree, tmp_path):
    root = tree(job=("sleep 60 & echo $!; exit 5", {}))
    status, output = run_job(root, tmp_path / "log", env=["PATH"])
    assert status == vcsjob.FAILURES
    wait_for(lambda: gone(int(output)))


def test_v7_a_job_that_closes_its_terminal_goes_on(tree, tmp_path):
    root = tree(job=("exec <&- >&- 2>&-; sleep 0.1; exit 3", {}))
    assert run_job(root, tmp_path / "log", env=["PATH"])[0] == 3


def test_v7_a_program_that_can_not_start_is_norun(tree, tmp_path):
    root = tree(job=("", {}))
    (root / "job").write_text("#!/no/such/interpreter\n")
    status, output = run_job(root, tmp_path / "log")
    assert status == vcsjob.NORUN
    assert "could not start" in output


def gone(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_v7_ending_the_command_ends_its_job(tree, tmp_path):
    root = tree(job=(f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; sleep 60", {}))
    line = [sys.executable, "-m", "vcsjob", "execute", "-j", str(root), "-e", "PATH"]
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as running:
        wait_for((tmp_path / "pid").exists)
        running.terminate()
        assert running.wait(LIMIT_S) == 128 + signal.SIGTERM
    wait_for(lambda: gone(int((tmp_path / "pid").read_text())))


def git(tree, *words):
    identity = ["-c", "user.name=x", "-c", "user.email=x", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", "-C", str(tree), *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def source(tree):
    """A git tree with a branch `main` of two commits, and a tag `old` at the first."""
    root = tree(job=("exit 5", {}))
    git(root, "init")
    git(root, "add", ".")
    git(root, "commit", "-m", "first")
    git(root, "tag", "old")
    (root / "new").write_text("")
    git(root, "add", ".")
    git(root, "commit", "-m", "second")
    return root


def test_v8_fetch_brings_branches_tags_and_commits(source, tmp_path):
    target = tmp_path / "deep" / "target"
    first = git(source, "rev-parse", "old")
    for src in (str(source), f"file://{source}"):
        for refspec, there in (("main", True), ("old", False), ("main", True), (first, False)):
            assert vcsjob.fetch(src, str(target), refspec) == vcsjob.OK
            assert (target / "new").exists() is there
    assert vcsjob.list_jobs(target) == ["job"]


def test_v8_a_failed_clone_leaves_no_directory(source, tmp_path, capsys):
    for target in (tmp_path / "absent", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        assert vcsjob.fetch(str(source), str(target), "no-such-branch") == vcsjob.NOFETCH
        assert not target.exists()
        assert "no-such-branch" in capsys.readouterr().err


def test_v8_a_directory_with_something_else_is_kept(source, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    assert vcsjob.fetch(str(source), str(tmp_path / "mine"), "main") == vcsjob.NOFETCH
    assert (tmp_path / "mine" / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("src", "dst", "refspec", "message"),
    [
        ("http://host/x", "d", "main", "supported protocols: git"),
        ("ext::sh -c true", "d", "main", "supported protocols: git"),
        ("{tmp}", "d", "main", "supported protocols: git"),
        ("file://{tmp}", "d", "main", "supported protocols: git"),
        ("{tmp}/tree", "ssh://host/d", "main", "destination is not a path of this host"),
        ("{tmp}/tree", "", "main", "destination is not a path of this host"),
        ("{tmp}/tree", "d", "--upload-pack=x", "not a revision"),
    ],
)
def test_v8_what_is_not_tried_is_said(source, tmp_path, src, dst, refspec, message):
    with pytest.raises(AveException, match=message):
        vcsjob.fetch(src.format(tmp=tmp_path), dst and dst.replace("d", f"{tmp_path}/d", dst == "d"), refspec)
    assert not (tmp_path / "d").exists()


def test_v8_the_command_fetches_with_0_or_1(source, tmp_path):
    words = ["fetch", "-s", source, "-d", tmp_path / "target"]
    assert command(*words, "-r", "main").returncode == 0
    failed = command(*words, "-r", "absent")
    assert (failed.returncode, failed.stdout) == (1, "") and "absent" in failed.stderr
    refused = command("fetch", "-s", "http://host/x", "-d", tmp_path / "other", "-r", "main")
    assert refused.returncode == 1 and refused.stderr.startswith("ERROR: ")


@pytest.mark.parametrize("words", [[], ["no-such"], ["-x"], ["execute"], ["fetch", "-t", "soon"]], ids=str)
def test_wrong_usage_is_explained(words):
    done = command(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Syntax" in done.stderr and "ERROR: " in done.stderr


def test_the_command_says_0_unless_asked_for_the_worst_status(tree, tmp_path):
    root = tree(bad=("exit 1", {"tags": ["x"]}), busy=("exit 4", {}), fine=("", {"tags": ["x"]}))
    assert command("-s", "p,q", "execute", "-j", root).returncode == 0
    assert command("execute", "-j", root, "--job-status").returncode == vcsjob.BUSY
    assert command("execute", "-j", root, "-t", "x", "--job-status").returncode == vcsjob.ERROR
    assert command("execute", "-j", root, "-t", "none").returncode == 1
    assert command("execute", "-j", root, "-t", "none", "--job-status").returncode == vcsjob.NORUN
    assert command("execute", "-j", root, "-e", "NO_SUCH").returncode == 1
    assert vcsjob.execute_tags(root, log_path=tmp_path / "log", job_status=True) == vcsjob.BUSY


def test_busy_jobs_are_run_again_and_only_those(tree, tmp_path):
    marks = f"echo $0 >> {tmp_path}/ran"
    root = tree(
        done=(f"{marks}; exit 5", {}),
        busy=(f"{marks}; test -e {tmp_path}/free && exit 0; : > {tmp_path}/free; exit 4", {}),
    )
    ran = command("execute", "-j", root, "--retry-busy", "30", "--job-status", "--json")
    assert ran.returncode == vcsjob.FAILURES
    assert [pathlib.Path(line).name for line in (tmp_path / "ran").read_text().split()] == ["done", "busy", "busy"]
    assert json.loads(ran.stdout) == {
        "jobs": [
            {"path": "done", "status": 5, "name": "vcsjob.FAILURES", "attempts": 1},
            {"path": "busy", "status": 0, "name": "vcsjob.OK", "attempts": 2},
        ]
    }
    assert re.search(r"^vcsjob: 1 job is busy; next try in [\d.]+ s, at [\d:]{8}$", ran.stderr, re.M)


def test_retrying_ends_with_its_time(tree):
    begun = time.monotonic()
    ran = command("execute", "-j", tree(job=("exit 4", {})), "--retry-busy", "0.1", "--job-status")
    assert (ran.returncode, time.monotonic() - begun < 30) == (vcsjob.BUSY, True)
    assert "next try" not in ran.stderr


def test_progress_is_shown_to_a_person_only(tree):
    root = tree(job=("exit 3", {}))
    line = [sys.executable, "-m", "vcsjob", "execute", "-j", str(root)]
    screen, its_end = pty.openpty()
    with subprocess.Popen(line, stderr=its_end, stdout=subprocess.DEVNULL) as running:
        os.close(its_end)
        shown = b""
        try:
            while chunk := os.read(screen, 65536):
                shown += chunk
        except OSError:  # the end of a terminal
            os.close(screen)
        assert running.wait(LIMIT_S) == 0
    assert b"vcsjob: [1/1] job: vcsjob.BLOCKED after" in shown
    assert "[1/1]" not in command("execute", "-j", root).stderr


def test_lists_are_for_programs_too(tree):
    root = tree(job=("", {"tags": ["a", "b"], "banner": "half \ud800"}))
    assert command("list", "-j", root).stdout == "job  [a, b]  half \\ud800\n"
    (job,) = json.loads(command("list", "-j", root, "--json").stdout)
    assert job == vcsjob.load_jobs(root)[0]
