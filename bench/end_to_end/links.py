# SPDX-License-Identifier: BSD-2-Clause
"""Links that are slower than loopback."""
import contextlib
import socket
import threading
import time


def slow_link(address, rate, closing):
    """A TCP proxy that lets `rate` bytes a second through to `address`, and little wait in between; its own address."""
    host, port = address.rsplit(":", 1)
    proxy = socket.create_server(("127.0.0.1", 0))
    proxy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    closing.callback(proxy.close)

    def pump(source, target, pace):
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 14):
                time.sleep(len(piece) * pace)
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                near, _ = proxy.accept()
                far = socket.create_connection((host, int(port)))
                for way in ((near, far, 1 / rate), (far, near, 0)):
                    threading.Thread(target=pump, args=way, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return "127.0.0.1:%d" % proxy.getsockname()[1]
