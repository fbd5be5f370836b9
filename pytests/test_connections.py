"""Connecting: by configuration or by address, and against peers that misbehave."""

import socket
import time

import pytest

import ave.config
from ave.broker import Broker
from ave.exceptions import AveException
from ave.network.exceptions import ConnectionClosed, ConnectionTimeout
from conftest import KEYS
from fake_peer import ACCEPTED, CHALLENGE, peer


def test_an_address_a_home_or_nothing_find_the_broker(lab):
    ways = [(lab.address,), (list(lab.address),), (None, 5, None, lab.home), (None, 5, None, str(lab.home)), ()]
    for way in ways:
        with Broker(*way) as broker:
            assert broker.address == lab.address
            assert broker.get_profile()["stacks"] == lab.read("broker")["stacks"]


def test_nothing_is_sent_before_the_first_call():
    Broker(("127.0.0.1", 1))
    Broker(("no such host", 1))


@pytest.mark.parametrize("address", [("host",), ("host", "4000"), ("host", 65536), (1, 4000), 4000, ()])
def test_what_is_no_address_is_refused_at_once(address):
    with pytest.raises(TypeError, match="^address must be a pair of host and port, found "):
        Broker(address)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_what_is_no_time_is_refused_at_once(timeout):
    with pytest.raises(ValueError, match="^timeout must be seconds, or None for no limit, found "):
        Broker(("127.0.0.1", 1), timeout=timeout)


def test_a_host_that_nobody_knows_is_named():
    with pytest.raises(AveException, match='^host "no such host": '):
        Broker(("no such host", 4000)).get_profile()


def test_a_broker_that_does_not_listen_is_tried_until_the_time_is_over():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    began = time.monotonic()
    with pytest.raises(ConnectionTimeout, match="^timed out$"):
        Broker(address, timeout=0.3).get_profile()
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("sent", [(), (CHALLENGE,), (CHALLENGE, ACCEPTED)], ids=["mute", "challenge", "accepted"])
def test_a_silent_broker_is_given_up_when_the_time_is_over(sent):
    with peer(*sent) as server, pytest.raises(ConnectionTimeout, match="^timed out$"):
        Broker(server.address, timeout=0.2).get_profile()


def test_after_a_timeout_the_connection_is_not_used_again():
    with peer(CHALLENGE, ACCEPTED) as server:
        broker = Broker(server.address, timeout=2)
        with pytest.raises(ConnectionTimeout):
            broker.get_profile()
        assert server.asked.is_set(), "it was connected"
        with pytest.raises(ConnectionClosed):
            broker.get_profile()


@pytest.mark.parametrize("sent", [(), (CHALLENGE,), (CHALLENGE, ACCEPTED)], ids=["mute", "challenge", "accepted"])
def test_a_broker_that_hangs_up_has_closed_the_connection(sent):
    with peer(*sent, then_close=True) as server, pytest.raises(ConnectionClosed, match="^connection closed$"):
        Broker(server.address).get_profile()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ((b"hello",), "wrong challenge"),
        ((CHALLENGE + b"x",), "wrong challenge"),
        ((CHALLENGE, b'{"result": 1}'), "not an authentication result"),
        ((CHALLENGE, b"no json"), "not an authentication result"),
        ((CHALLENGE, ACCEPTED, b"no json"), "not a reply"),
        ((CHALLENGE, ACCEPTED, b"[1]"), "not a reply"),
    ],
    ids=str,
)
def test_a_peer_that_is_no_broker_is_named(sent, message):
    with peer(*sent) as server, pytest.raises(AveException, match=message):
        Broker(server.address).get_profile()


def test_a_rejected_key_is_no_error_until_a_call_needs_it(lab):
    broker = Broker(authkey="wrong")
    assert broker.get_profile()["type"] == "broker"
    with pytest.raises(AveException, match="not authorized"):
        broker.list_stacks()


def config_at(home, text):
    path = home / ".ave" / "config" / "broker.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"host": "lab1", "port": 5000, "listen": "10.0.0.1"}', ("lab1", 5000)),
        ('{"listen": "10.0.0.1"}', ("10.0.0.1", 4000)),
        ('{"listen": "0.0.0.0"}', ("127.0.0.1", 4000)),
        ('{"listen": "::"}', ("::1", 4000)),
        ('{"host": ""}', ("127.0.0.1", 4000)),
    ],
)
def test_the_configuration_says_where_to_connect(tmp_path, text, found):
    config_at(tmp_path, text)
    assert ave.config.find_broker(tmp_path) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "^could not load broker configuration file: Expecting"),
        ("[]", "^could not load broker configuration file: Expecting an object, found a list"),
        ("\udcff", "^could not load broker configuration file: "),
        ('{"host": 1}', "^broker attribute \"host\" must be on the form {\"host\":<string>}. current value=1 \\(type=<type 'int'>\\)$"),
        ('{"port": "invalid"}', "current value=invalid \\(type=<type 'unicode'>\\)$"),
        ('{"port": true}', "current value=True \\(type=<type 'bool'>\\)$"),
        ('{"port": 65536}', '^broker attribute "port" must be on the form {"port":<int>}. '),
        ('{"listen": "localhost"}', '^broker attribute "listen" must be on the form {"listen":<IP address>}. '),
        ('{"port": null}', "current value=None \\(type=<type 'NoneType'>\\)$"),
        ('{"port": 0}', '^"port" is 0 and no running broker has written its port to .*/.ave/run/port$'),
    ],
)
def test_a_bad_configuration_is_refused(tmp_path, text, message):  # 203
    config_at(tmp_path, "").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(AveException, match=message):
        Broker(home=tmp_path)


def test_a_missing_configuration_is_named(tmp_path):
    path = tmp_path / ".ave" / "config" / "broker.json"
    with pytest.raises(AveException, match=f"^no such configuration file: {path}$"):
        Broker(home=tmp_path)


@pytest.fixture
def user_file(tmp_path, monkeypatch):
    path = tmp_path / "user"
    monkeypatch.setattr(ave.config, "USER_FILE", path)
    monkeypatch.setenv("HOME", str(tmp_path / "invoking"))
    return path


@pytest.mark.parametrize(
    ("text", "home"),
    [
        (None, "{tmp}/invoking"),
        ('{"name": "ave", "home": "/srv/ave", "uid": 1}', "/srv/ave"),
        ('{"name": "root"}', "/root"),
    ],
)
def test_the_home_is_the_one_of_etc_ave_user_or_the_invoking_users(tmp_path, user_file, text, home):
    if text:
        user_file.write_text(text)
    assert str(ave.config.find_home()) == home.format(tmp=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "^could not load .*user: Expecting"),
        ('{"home": "/"}', '^could not load .*user: invalid .*user: no "name" entry: '),
        ('{"name": "no such user"}', "^no such user: no such user$"),
    ],
)
def test_a_bad_user_file_is_refused(user_file, text, message):
    user_file.write_text(text)
    with pytest.raises(AveException, match=message):
        Broker(KEYS["admin"])
