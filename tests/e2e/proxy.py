"""A TCP proxy between a client and a server that counts, slows down, flips bits and cuts."""

import socket
import threading
import time

PIECE = 1 << 16


class Proxy:
    """`address`: where the client connects to. What it does may be changed while it runs."""

    def __init__(self, target):
        host, _, port = target.rpartition(":")
        self.target = host, int(port)
        self.up = self.down = 0      # bytes that passed, client to server and back
        self.rate = None             # bytes a second in either direction; None: no limit
        self.flip_up_at = None       # the byte of `up` with this number is damaged, once
        self.flip_down_at = None
        self.hold_down_at = None     # nothing is taken from the server after this byte of `down`
        self.cut_up_at = None        # the connection that brings this byte of `up` is cut, once
        self.carrying = 0            # ways of connections that are open
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target)
            except OSError:
                client.close()
                continue
            with self.lock:
                self.carrying += 2
            for source, sink, way in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self.carry, args=(source, sink, way), daemon=True).start()

    def carry(self, source, sink, way):
        try:
            while piece := source.recv(PIECE):
                piece = self.count(piece, way)
                sink.sendall(piece)
                while (way == "down" and self.hold_down_at is not None
                       and self.down >= self.hold_down_at):
                    time.sleep(0.05)
                if self.rate:
                    time.sleep(len(piece) / self.rate)
        except OSError:
            pass
        finally:
            for end in (source, sink):  # the other thread, which reads from the sink, ends too
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            source.close()
            with self.lock:
                self.carrying -= 1

    def count(self, piece, way):
        with self.lock:
            before = getattr(self, way)
            setattr(self, way, before + len(piece))
            if way == "up" and self.cut_up_at is not None and self.cut_up_at < self.up:
                self.cut_up_at = None
                raise OSError("cut, as the test wants")
            at = getattr(self, f"flip_{way}_at")
            if at is None or not before <= at < before + len(piece):
                return piece
            setattr(self, f"flip_{way}_at", None)
        damaged = bytearray(piece)
        damaged[at - before] ^= 0x10
        return bytes(damaged)

    def close(self):
        self.listener.close()
