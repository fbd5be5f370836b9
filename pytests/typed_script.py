"""A test script with types, as `mypy --strict` must accept it. (Not run.)"""

import sys

import vcsjob
from ave.broker import Broker
from ave.broker.exceptions import Busy, NoSuch
from ave.broker.resource import RemoteHandset
from ave.exceptions import AveException
from ave.network.exceptions import ConnectionClosed


def serial_of(handset: RemoteHandset) -> str:
    serial: str = handset.profile["serial"]
    return serial


def main() -> int:
    with Broker(timeout=None, authkey=b"key") as broker:
        try:
            handset, workspace = broker.get(({"type": "handset"}, {"type": "workspace"}))
            print(serial_of(handset), workspace.run(["true"], timeout=5))
            broker.yield_resources(handset, workspace.profile)
            phone, relay, directory = broker.get(
                {"type": "handset", "sdk.version": 30}, {"type": "relay", "circuits": ["usb.pc.vcc"]}, {"type": "workspace"}
            )
            state: str = phone.wait_power_state(["adb", "offline"], timeout=5)
            stamp: list[int] = relay.set_circuit("usb.pc.vcc", closed=True)
            print(state.upper(), stamp[0] + 1, directory.get_path().upper(), phone.a_later_call(1))
        except Busy as busy:
            print(busy.message, busy.details["type"])
            return vcsjob.BUSY
        except (NoSuch, ConnectionClosed, AveException):
            return vcsjob.ERROR
        for stack in broker.list_stacks():
            print([profile["type"] for profile in stack])
        host, port = broker.address
        print(host.upper(), port + 1, broker.any_call(1, two=2))
        broker.get(*vcsjob.get_profiles())
    return vcsjob.OK


if __name__ == "__main__":
    sys.exit(main())
