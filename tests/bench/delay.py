# SPDX-License-Identifier: ISC
"""Distance for the lab's name servers: NSD moves from 127.53.x.y to
127.54.x.y, and this program, in its place, hands on what it is asked.  An
answer comes back so long after its question, whatever this takes.

    tests/bench/delay.py MILLISECONDS 127.53.x.y...
"""

import asyncio
import contextlib
import glob
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time


def behind(address):
    return address.replace("127.53.", "127.54.", 1)


class Reply(asyncio.DatagramProtocol):
    """NSD's answer to one query goes back to who asked."""

    def __init__(self, asked, client, due):
        self.asked, self.client, self.due = asked, client, due

    def connection_made(self, transport):
        self.transport = transport
        asyncio.get_running_loop().call_later(5, transport.close)

    def datagram_received(self, data, _):
        asyncio.get_running_loop().call_at(
            self.due, self.asked.sendto, data, self.client)
        self.transport.close()


class Ask(asyncio.DatagramProtocol):
    def __init__(self, address, delay):
        self.address, self.delay = address, delay
        self.tasks = set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, client):
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(self.ask(
            data, client, loop.time() + self.delay))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def ask(self, data, client, due):
        transport, _ = await asyncio.get_running_loop() \
            .create_datagram_endpoint(
                lambda: Reply(self.transport, client, due),
                remote_addr=(behind(self.address), 53))
        transport.sendto(data)


async def stream(address, delay, reader, writer):
    """One round trip for the connection, one for what is asked on it."""
    async def back(source):
        while data := await source.read(65536):
            writer.write(data)
        writer.close()
    with contextlib.suppress(OSError):
        await asyncio.sleep(delay)
        source, sink = await asyncio.open_connection(behind(address), 53)
        task = asyncio.ensure_future(back(source))
        while data := await reader.read(65536):
            await asyncio.sleep(delay)
            sink.write(data)
        sink.close()
        await task


async def main(delay, addresses):
    loop = asyncio.get_running_loop()
    for address in addresses:
        await loop.create_datagram_endpoint(
            lambda a=address: Ask(a, delay), local_addr=(address, 53))
        await asyncio.start_server(
            lambda r, w, a=address: stream(a, delay, r, w), address, 53)
    await asyncio.Event().wait()


# ------------------------------------------------------------- in the lab

def answers(address):
    try:
        socket.create_connection((address, 53), 1).close()
    except OSError:
        return False
    return True


def started(command, addresses):
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while not all(map(answers, addresses)):
        if p.poll() is not None or time.monotonic() > end:
            raise RuntimeError("%s does not run" % " ".join(command))
        time.sleep(0.02)
    return p


def servers(where):
    """The lab's name servers in this process namespace end, and others start
    with the files in that folder."""
    for proc in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            with open(proc + "/comm") as f:
                if f.read().startswith("nsd"):
                    os.kill(int(proc[6:]), signal.SIGTERM)
    found = []
    for path in glob.glob(where + "/nsd-*.conf"):
        with open(path) as f:
            found.append((path, re.search(r"ip-address: ([\d.]+)",
                                          f.read())[1]))
    end = time.monotonic() + 20
    while any(answers(a) for _, a in found):
        if time.monotonic() > end:
            raise RuntimeError("NSD does not end")
        time.sleep(0.02)
    return [(started(["nsd", "-d", "-c", path], [a]), a)
            for path, a in found]


@contextlib.contextmanager
def distance(lab, where, milliseconds):
    """Every name server of the lab at this distance; lab and where: its folder
    and one to work in."""
    own = where + "/far"
    os.makedirs(own, exist_ok=True)
    addresses = []
    for path in glob.glob(lab + "/nsd-*.conf"):
        with open(path) as f:
            text = f.read()
        addresses += re.findall(r"ip-address: ([\d.]+)", text)
        with open("%s/%s" % (own, os.path.basename(path)), "w") as f:
            f.write(behind(text))
    servers(own)
    proxy = started([sys.executable, "-B", os.path.abspath(__file__),
                     str(milliseconds), *addresses], addresses)
    try:
        yield
    finally:
        proxy.kill()
        proxy.wait()
        servers(lab)


if __name__ == "__main__":
    # epoll's time is in whole milliseconds, and asyncio rounds up to them
    asyncio.set_event_loop(asyncio.SelectorEventLoop(
        selectors.SelectSelector()))
    asyncio.get_event_loop().run_until_complete(
        main(float(sys.argv[1]) / 1000, sys.argv[2:]))
