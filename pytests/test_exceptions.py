"""Exceptions: the hierarchy, what they carry, and which answer becomes which class."""

import copy
import pickle

import pytest

import ave.broker.exceptions
import ave.exceptions
import ave.network.exceptions
from ave.broker import Broker
from ave.exceptions import AveException
from fake_peer import ACCEPTED, CHALLENGE, peer

TRAVELLING = ["Timeout", "Exit", "AuthError", "RunError", "Restarting", "Terminated", "Offline"]
REFUSALS = ["Busy", "NoSuch", "Shared", "Duplicate", "NotOwner", "NotAllocated"]
CONNECTION = {
    "ConnectionClosed": "connection closed",
    "ConnectionTimeout": "timed out",
    "ConnectionRefused": "connection refused",
}


def test_an_exception_carries_details_that_can_be_read_as_attributes():
    error = AveException({"message": "broken", "type": "RunError", "cmd": ["ls"]})
    assert str(error) == error.message == error.details["message"] == "broken"
    assert (error.type, error.cmd) == ("RunError", ["ls"])
    with pytest.raises(AttributeError, match="no detail 'out'"):
        error.out


def test_an_exception_can_be_made_of_a_plain_string():
    assert AveException("broken").details == {"message": "broken", "type": "Exception"}
    for name in TRAVELLING:
        error = getattr(ave.exceptions, name)("broken")
        assert error.details == {"message": "broken", "type": name}
    for name in REFUSALS:
        error = getattr(ave.broker.exceptions, name)("broken")
        assert error.details == {"message": "broken", "type": name}
        assert isinstance(error, (ave.broker.exceptions.BrokerException, AveException))


@pytest.mark.parametrize("duplicate", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_exceptions_can_be_copied_and_pickled(duplicate):
    error = duplicate(ave.exceptions.Timeout({"message": "late", "cmd": ["sleep"]}))
    assert error.details == {"message": "late", "type": "Timeout", "cmd": ["sleep"]}
    assert str(error) == "late"


def test_what_the_client_notices_itself_is_no_ave_exception():
    for name, message in CONNECTION.items():
        kind = getattr(ave.network.exceptions, name)
        assert str(kind()) == message
        assert not issubclass(kind, AveException)


def test_the_network_module_holds_the_general_exceptions_and_their_old_names_too():
    assert ave.network.exceptions.amend_excepthook() is None
    for name in ["AveException", "amend_excepthook", *TRAVELLING]:
        assert getattr(ave.network.exceptions, name) is getattr(ave.exceptions, name)
    for name in ["Timeout", "Exit", "AuthError", "RunError"]:
        assert getattr(ave.network.exceptions, f"Remote{name}") is getattr(ave.exceptions, name)
    assert not hasattr(ave.broker.exceptions, "Restarting")


@pytest.mark.parametrize("name", TRAVELLING)
def test_types_that_travel_become_their_class(name):
    error = ave.exceptions.exception_factory({"type": name, "message": "m", "out": 1})
    assert type(error) is getattr(ave.exceptions, name)
    assert (str(error), error.out) == ("m", 1)


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_become_their_class_where_brokers_are_concerned(name):
    details = {"type": name, "message": "m"}
    assert type(ave.broker.exceptions.exception_factory(details)) is getattr(ave.broker.exceptions, name)
    general = ave.exceptions.exception_factory(details)
    assert type(general) is AveException
    assert general.type == name


def test_any_other_type_keeps_its_name_and_overflow_is_the_builtin():
    for factory in [ave.exceptions.exception_factory, ave.broker.exceptions.exception_factory]:
        error = factory({"type": "KeyError", "message": "serial"})
        assert (type(error), error.type) == (AveException, "KeyError")
        assert factory("plain").details == {"message": "plain", "type": "Exception"}
        assert type(factory({"type": "OverflowError", "message": "too long"})) is OverflowError


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (b'{"exception": "no such RPC: x"}', AveException, "no such RPC: x"),
        (b'{"exception": {"type": "Offline", "message": "gone"}}', ave.exceptions.Offline, "gone"),
        (b'{"exception": {"type": "NotOwner", "message": "taken"}}', ave.broker.exceptions.NotOwner, "taken"),
        (b'{"exception": {"type": "OverflowError", "message": "long"}}', OverflowError, "long"),
        ('{"exception": {"type": "E", "message": "å"}}'.encode(), AveException, "å"),
    ],
    ids=["plain", "class", "refusal", "builtin", "not ascii"],
)
def test_answers_of_calls_become_exceptions(reply, kind, message):
    with peer(CHALLENGE, ACCEPTED, reply) as server, pytest.raises(kind) as raised:
        Broker(server.address).x()
    assert type(raised.value) is kind
    assert str(raised.value) == message


@pytest.mark.parametrize("name", REFUSALS)
def test_answers_of_get_become_refusals(name):
    reply = b'{"exception": {"type": "%s", "message": "m", "trace": []}}' % name.encode()
    with peer(CHALLENGE, ACCEPTED, reply) as server:
        with pytest.raises(getattr(ave.broker.exceptions, name), match="^m$"):
            Broker(server.address).get({"type": "handset"})


def test_the_broker_names_what_was_wrong_with_a_call(broker, admin):
    with pytest.raises(AveException, match="^no such RPC: no_such_call$"):
        broker.no_such_call()
    with pytest.raises(AveException, match="^no such RPC: blåbär$"):
        getattr(broker, "blåbär")()
    with pytest.raises(AveException) as wrong:
        admin.list_available(1, 2, 3)
    assert wrong.value.type == "TypeError"
    with pytest.raises(AveException, match="blåbär"):  # 81
        broker.get({"type": "workspace"}).run(["blåbär"])
    with pytest.raises(AveException) as unknown:
        admin.close_session("0000000000000000")
    assert unknown.value.type == "KeyError"  # 46
