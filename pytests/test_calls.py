"""What calls look like from Python: arguments, values, names, and what is refused before anything is sent."""

import pytest

from ave.broker import Broker
from ave.broker.resource import RemoteHandset, RemoteRelay, RemoteResource, RemoteWlan, RemoteWorkspace
from ave.exceptions import AveException

HANDSET, RELAY = {"type": "handset"}, {"type": "relay"}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (([HANDSET],), "profile is not a dictionary"),
        (([HANDSET], HANDSET), "profile is not a dictionary"),
        (([],), "profile is not a dictionary"),
        ((None,), "profile is not a dictionary"),
        (("handset",), "profile is not a dictionary"),
        (((HANDSET, (RELAY,)),), "profile is not a dictionary"),
        (({"pretty": "yuga"},), 'profile "type" field is missing'),
        ((HANDSET, {}), 'profile "type" field is missing'),
        (((HANDSET, {}),), 'profile "type" field is missing'),
    ],
    ids=str,
)
def test_bad_shapes_raise_before_anything_is_sent(broker, wanted, message):
    held = broker.get({"type": "handset", "pretty": "yuga"})
    with pytest.raises(AveException, match=f"^{message}: "):
        broker.get(*wanted)
    assert broker.list_allocations() == [held.profile]


def test_a_profile_beside_tuples_is_a_group_of_one_wherever_it_stands(lab):
    for wanted in [(HANDSET, HANDSET, (RELAY,)), (HANDSET, (HANDSET, RELAY)), ((HANDSET, RELAY), HANDSET)]:
        with Broker() as broker:
            got = broker.get(*wanted)
            flat = [each["type"] for one in wanted for each in (one if isinstance(one, tuple) else (one,))]
            assert [each.profile["type"] for each in got] == flat
        lab.wait_until_free()


def test_proxies_are_of_the_class_of_their_type(broker):
    wanted = {"handset": RemoteHandset, "relay": RemoteRelay, "workspace": RemoteWorkspace, "wlan": RemoteWlan}
    got = broker.get(*[({"type": name},) for name in wanted])
    assert [type(each) for each in got] == list(wanted.values())
    assert all(isinstance(each, RemoteResource) for each in got)


def test_a_proxy_shows_its_profile_and_address_and_never_its_key(broker):  # 58
    handset = broker.get({"type": "handset", "pretty": "yuga"})
    assert handset.profile["pretty"] == "yuga"
    assert handset.address[0] == "127.0.0.1"
    assert isinstance(handset.address, tuple)
    assert len(handset.authkey) == 16
    assert handset.timeout is None
    assert handset.authkey not in repr(handset)
    assert repr(handset).startswith("<RemoteHandset {")
    assert repr(broker) == f"<Broker at 127.0.0.1:{broker.address[1]}>"


def test_arguments_are_positional_named_or_both(broker):
    workspace = broker.get({"type": "workspace", "tools": ["sh"]})
    for code, _, _ in [
        workspace.run(["sh", "-c", "exit 3"], 5),
        workspace.run(["sh", "-c", "exit 3"], timeout=5),
        workspace.run(timeout=5, cmd=["sh", "-c", "exit 3"]),
    ]:
        assert code == 3


def test_names_with_an_underscore_are_no_calls(broker):
    for each in (broker, broker.get(HANDSET)):
        with pytest.raises(AttributeError, match="_private"):
            each._private
        assert not hasattr(each, "__wrapped__")


def test_asynchronous_calls_return_nothing_and_keep_their_order(broker, admin):
    assert broker.get_profile(__async__=True) is None
    assert broker.no_such_call(__async__=True) is None
    assert broker.get_profile()["type"] == "broker"
    workspace = broker.get({"type": "workspace", "tools": ["sh"]})
    assert workspace.run(["sh", "-c", "touch $HOME"], __async__=True) is None
    assert workspace.get_path()


def test_values_arrive_as_they_were_sent(lab, admin):
    values = {
        "none": None,
        "flags": [True, False],
        "numbers": [0, -(2**63), 2**63, 2**64 - 1, 1.5, -0.0],
        "text": "blåbär \N{SNOWMAN} \x00",
        "bytes": bytes(range(256)),
        "nested": {"": [[], {}]},
    }
    piece = {"type": "relay", "uid": "new", "power_state": "online", **values}
    with lab.share() as share:
        share.add_equipment("local", [piece])
    assert admin.list_equipment({"type": "relay", "uid": "new"}) == [piece]


def endless():
    outer = []
    outer.append(outer)
    return outer


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ({1}, TypeError, "cannot send a value of type set: want None"),
        (object(), TypeError, "cannot send a value of type object"),
        ([{"a": 1j}], TypeError, "cannot send a value of type complex"),
        ({1: 2}, TypeError, "cannot send a dict with a key of type int: want str"),
        (2**64, OverflowError, "more than 64 bits"),
        (-(2**63) - 1, OverflowError, "more than 64 bits"),
        (endless(), ValueError, "nests deeper than"),
        ("\ud800", UnicodeEncodeError, "surrogates"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_cannot_travel_raises_before_anything_is_sent(broker, value, kind, message):
    workspace = broker.get({"type": "workspace"})
    for each in (broker, workspace):
        with pytest.raises(kind, match=message):
            each.get_profile(value)
        with pytest.raises(kind, match=message):
            each.get_profile(name=value)
    with pytest.raises(kind, match=message):
        broker.get({"type": "handset", "odd": value})
    assert len(broker.list_allocations()) == 1


def test_the_deepest_value_that_can_be_sent_arrives(lab, admin):
    value = []
    for _ in range(100):
        value = [value]
    with lab.share() as share:
        share.add_equipment("local", [{"type": "relay", "uid": "deep", "value": value}])
    assert admin.list_equipment({"type": "relay", "uid": "deep"})[0]["value"] == value
