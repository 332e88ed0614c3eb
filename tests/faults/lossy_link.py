"""Two network namespaces, and a line between them that loses packets.

Nothing outside the two can be reached from them, or hears of the loss. The line is a pair of TUN
devices and a thread that carries packets from one to the other: it needs root and /dev/net/tun, no
kernel module as netem does.
"""

import contextlib
import ctypes
import fcntl
import os
import random
import select
import struct
import subprocess
import threading

from bench import Skipped

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MAX_PACKET = 65536


class End:
    """One namespace, with one address."""

    def __init__(self, address):
        self.address = address
        # Says a line when it is inside, and holds the namespace until its input is closed.
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo in; cat"], text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)
        if self.holder.stdout.readline() != "in\n":
            raise Skipped("cannot make a network namespace here")
        self.within = ("nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--")
        self.tun = self.open_tun()
        for command in (f"address add {address}/24 dev tun0", "link set tun0 up", "link set lo up"):
            subprocess.run([*self.within, "ip", *command.split()], check=True)

    def open_tun(self):
        """The device belongs to the namespace of the thread that opens it: one made for that."""
        found = []

        def enter_and_open():
            with open(f"/proc/{self.holder.pid}/ns/net") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    return
            with contextlib.suppress(OSError):
                tun = os.open("/dev/net/tun", os.O_RDWR)
                found.append(tun)
                fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22s", b"tun0", IFF_TUN | IFF_NO_PI, b""))

        thread = threading.Thread(target=enter_and_open)
        thread.start()
        thread.join()
        if not found:
            raise Skipped("cannot make a TUN device here")
        return found[0]

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()
        os.close(self.tun)


class LossyLink:
    """with LossyLink(loss, seed) as link: link.left and link.right are its ends."""

    def __init__(self, loss, seed):
        self.loss, self.random = loss, random.Random(seed)
        self.carried = self.lost = 0
        self.left, self.right = End("10.99.0.1"), End("10.99.0.2")
        self.ending, self.end = os.pipe()
        self.carrier = threading.Thread(target=self.carry)

    def __enter__(self):
        self.carrier.start()
        return self

    def __exit__(self, *_):
        os.close(self.end)
        self.carrier.join()
        os.close(self.ending)
        self.left.close()
        self.right.close()

    def carry(self):
        other = {self.left.tun: self.right.tun, self.right.tun: self.left.tun}
        while True:
            ready, _, _ = select.select([*other, self.ending], [], [])
            if self.ending in ready:
                return
            for tun in ready:
                packet = os.read(tun, MAX_PACKET)
                if self.random.random() < self.loss:
                    self.lost += 1
                    continue
                self.carried += 1
                with contextlib.suppress(OSError):  # its queue is full: lost as well
                    os.write(other[tun], packet)
