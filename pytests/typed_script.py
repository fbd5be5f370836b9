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
