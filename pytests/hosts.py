"""Hosts of their own on one machine: network namespaces, and cables that can be slow, lossy, cut, or cut one way.

The namespaces have no names, and each device lives in one of them: nothing outlives the process. A thread carries
the packets, because not every kernel can delay or lose them.
"""

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
OWN_NAMESPACE = "/proc/thread-self/ns/net"
PACKET_BYTES_MAX = 1 << 16
LIBC = ctypes.CDLL(None, use_errno=True)


class Host:
    """A namespace with loopback and one device. Its cable is whole, unless it is `mute` or `deaf`: then nothing
    that it sends arrives, or nothing arrives at it."""

    def __init__(self, address):
        self.address, self.mute, self.deaf = address, False, False
        with coming_back():
            check(LIBC.unshare(CLONE_NEWNET))
            self._namespace = os.open(OWN_NAMESPACE, os.O_RDONLY)
            self.device = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(self.device, TUNSETIFF, struct.pack("16sH22x", b"cable", IFF_TUN | IFF_NO_PI))
            for command in ("link set lo up", f"addr add {address}/24 dev cable", "link set cable up"):
                subprocess.run(["ip", *command.split()], check=True)

    @contextlib.contextmanager
    def inside(self):
        """What this thread connects or starts meanwhile is on this host."""
        with coming_back():
            check(LIBC.setns(self._namespace, CLONE_NEWNET))
            yield

    def cut(self, mute=True, deaf=True):
        self.mute, self.deaf = mute, deaf

    def mend(self):
        self.cut(mute=False, deaf=False)

    def close(self):
        os.close(self.device)
        os.close(self._namespace)


class Network:
    """Joins hosts, until it is closed. Every packet takes `delay_s`; of many the share `loss` is lost."""

    def __init__(self, hosts, seed):
        self.delay_s, self.loss = 0.0, 0.0
        self._random = random.Random(seed)
        self._by_device = {host.device: host for host in hosts}
        self._by_address = {socket.inet_aton(host.address): host for host in hosts}
        self._end = os.eventfd(0)
        self._carrier = threading.Thread(target=self._carry)
        self._carrier.start()

    def _carry(self):
        on_the_way, numbers = [], itertools.count()
        while True:
            pause_s = max(0, on_the_way[0][0] - time.monotonic()) if on_the_way else None
            ready, _, _ = select.select([self._end, *self._by_device], [], [], pause_s)
            if self._end in ready:
                return
            for device in ready:
                packet = os.read(device, PACKET_BYTES_MAX)
                sender, receiver = self._by_device[device], self._by_address.get(packet[16:20])  # as IPv4 has it
                if receiver and not (sender.mute or receiver.deaf) and self._random.random() >= self.loss:
                    arrival = time.monotonic() + self.delay_s
                    heapq.heappush(on_the_way, (arrival, next(numbers), receiver.device, packet))
            while on_the_way and on_the_way[0][0] <= time.monotonic():
                _, _, device, packet = heapq.heappop(on_the_way)
                os.write(device, packet)

    def close(self):
        os.eventfd_write(self._end, 1)
        self._carrier.join()
        os.close(self._end)


@contextlib.contextmanager
def coming_back():
    """Whichever namespace this thread goes to meanwhile, it returns to the one it is in."""
    here = os.open(OWN_NAMESPACE, os.O_RDONLY)
    try:
        yield
    finally:
        check(LIBC.setns(here, CLONE_NEWNET))
        os.close(here)


def check(status):
    """Raises what a call of the system reported."""
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
