# SPDX-License-Identifier: ISC
"""Another user of the machine, who wants smtpd's mail: a process of its own."""

import itertools
import json
import subprocess
import sys

UID = 65533                     # neither root nor smtpd's
OPTIONS = ((), ("SO_REUSEADDR",), ("SO_REUSEPORT",),
           ("SO_REUSEADDR", "SO_REUSEPORT"))

CODE = r"""
import errno, json, socket, sys
held = []
for line in sys.stdin:
    address, port, options, listen, device, only6, keep = json.loads(line)
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    why = ""
    try:
        if ":" in address:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only6))
        for o in options:
            s.setsockopt(socket.SOL_SOCKET, getattr(socket, o), 1)
        if device:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                         device.encode())
        s.bind((address, port))
        if listen:
            s.listen()
    except OSError as e:
        why = errno.errorcode[e.errno]
    if keep and not why:
        held.append(s)
    else:
        s.close()
    print(json.dumps(why), flush=True)
"""


class Other:
    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, cwd="/", user=UID, group=UID,
            extra_groups=[])
        return self

    def __exit__(self, *_):
        self.process.kill()             # its sockets go with it
        self.process.communicate()

    def bind(self, address, port, options=(), listen=True, device=None,
             only6=False, keep=True):
        """"", or the error."""
        self.process.stdin.write(json.dumps(
            (address, port, options, listen, device, only6, keep)) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def ways(self, address, port, listen=True):
        """All ways to be there when smtpd connects to this address."""
        found = []
        for where, options, device in itertools.product(
                (address, "0.0.0.0", "::", "::ffff:" + address), OPTIONS,
                (None, "lo")):
            why = self.bind(where, port, options, listen, device, keep=False)
            assert why in ("", "EADDRINUSE"), why
            if not why:
                found.append((where, options, device))
        return found
