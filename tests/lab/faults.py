# SPDX-License-Identifier: ISC
"""A DNS server in front of NSD that logs queries and mangles answers.

Run as `faults.py CONFIG`.  CONFIG is JSON:

    {"listen": [[ADDRESS, MODE], ...], "upstream": ADDRESS,
     "log": PATH, "ready": PATH,
     "faults": [{"name": NAME or "*.ZONE", "type": TYPE or "*",
                 "action": ACTION, "rdata": [HEX, ...], "sigs": [HEX, ...]},
                ...]}

MODE of a listener: "front" forwards; "refuse" answers REFUSED to everything
(a lame server); "upward" answers with a referral to the root (lame, too).

Actions, the first matching fault counts:
    servfail refused formerr nxdomain notimp    that RCODE, nothing else
    drop            no reply
    garbage         a reply that cannot be parsed
    truncate        UDP replies have TC and are empty; TCP works
    notcp           as truncate, and TCP is closed without a reply
    badsig          signatures in the reply are corrupted
    badanswer       signatures in the answer section are corrupted
    stripsig        all signatures are removed
    stripdenial     NSEC, NSEC3 and their signatures are removed
    remove          the records asked for are gone, the rest is left
    empty           NOERROR without any record
    forge           the answer is replaced by rdata, with sigs or unsigned
    setad           AD is set, signatures are removed (D05)
    bigkey          keys and signatures are as of dnswire.big_key()
"""

import asyncio
import json
import os
import struct
import sys

from dnswire import (Message, RR, NUMBERS, RCODES, TYPES, big_key, key_tag,
                     name_text, read_name)

SIGS = TYPES["RRSIG"]
DENIAL = (TYPES["NSEC"], TYPES["NSEC3"])
ACTIONS = set(RCODES) | {
    "drop", "garbage", "truncate", "notcp", "badsig", "badanswer", "stripsig",
    "stripdenial", "remove", "empty", "forge", "setad", "bigkey"}


def corrupt(rr):
    rr.data = rr.data[:-1] + bytes([rr.data[-1] ^ 0x55])


def enlarge(rr, key=big_key()):
    if rr.kind == TYPES["DNSKEY"]:
        rr.data = key
    elif rr.kind == SIGS:       # algorithm, key tag, signature
        at = len(read_name(rr.data, 18)[0]) + 18
        rr.data = (rr.data[:2] + b"\x08" + rr.data[3:16] + struct.pack(
            "!H", key_tag(key)) + rr.data[18:at] + b"\x01" * 10000)


def mangle(msg, action, rdata, sigs=()):
    """Changes a reply as the action says; see above."""
    if action in RCODES:
        msg.set_rcode(RCODES[action])
        msg.keep(lambda i, rr: False)
    elif action == "badsig" or action == "badanswer":
        for i, section in enumerate(msg.sections):
            for rr in section:
                if rr.kind == SIGS and (action == "badsig" or i == 0):
                    corrupt(rr)
    elif action == "stripsig":
        msg.keep(lambda i, rr: rr.kind != SIGS)
    elif action == "setad":
        msg.keep(lambda i, rr: rr.kind != SIGS)
        msg.flags |= 0x0020
    elif action == "stripdenial":
        msg.keep(lambda i, rr: rr.kind not in DENIAL and not
                 (rr.kind == SIGS and rr.covers() in DENIAL))
    elif action == "remove":
        msg.keep(lambda i, rr: rr.kind != msg.qtype and not
                 (rr.kind == SIGS and rr.covers() == msg.qtype))
    elif action == "empty":
        msg.set_rcode(0)
        msg.keep(lambda i, rr: False)
    elif action == "bigkey":
        for rr in sum(msg.sections, []):
            enlarge(rr)
    elif action == "forge":
        msg.set_rcode(0)
        msg.keep(lambda i, rr: False)
        msg.sections[0] = [RR(msg.qname, msg.qtype, 1, 60, bytes.fromhex(h))
                           for h in rdata]
        msg.sections[0] += [RR(msg.qname, SIGS, 1, 60, bytes.fromhex(h))
                            for h in sigs]


class Front:
    def __init__(self, conf):
        self.upstream = conf["upstream"]
        self.exact = {}
        self.below = {}
        for f in conf["faults"]:
            if f["action"] not in ACTIONS:
                raise ValueError("unknown action " + f["action"])
            name = f["name"].lower()
            table = self.exact
            if name.startswith("*."):
                table, name = self.below, name[2:]
            table.setdefault(name, []).append(f)
        self.log = open(conf["log"], "a", buffering=1)

    def fault(self, name, kind):
        def pick(rows):
            for f in rows:
                if f["type"] in ("*", kind):
                    return f
            return None

        found = pick(self.exact.get(name, ()))
        while found is None and name != ".":
            found = pick(self.below.get(name, ()))
            name = name.partition(".")[2] or "."
        return found

    async def forward(self, raw):
        """Asks NSD over TCP, so that no answer is cut short."""
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(self.upstream, 53), 5)
        try:
            writer.write(struct.pack("!H", len(raw)) + raw)
            head = await asyncio.wait_for(reader.readexactly(2), 5)
            return await asyncio.wait_for(
                reader.readexactly(struct.unpack("!H", head)[0]), 5)
        finally:
            writer.close()

    async def reply(self, raw, mode, tcp):
        """The reply's bytes, or None for silence."""
        try:
            query = Message(raw)
        except (ValueError, IndexError, struct.error):
            return None
        name = name_text(query.qname)
        kind = NUMBERS.get(query.qtype, str(query.qtype))
        self.log.write("%s %s %s\n" % (name, kind, mode))
        limit = 65535 if tcp else min(1232, query.udp_size())
        if mode != "front":
            query.flags = 0x8000 | (query.flags & 0x0110)
            query.sections = [[], [], []]
            if mode == "refuse":
                query.set_rcode(RCODES["refused"])
            else:
                query.sections[1] = [RR(b"\0", TYPES["NS"], 1, 60,
                                        b"\1a\4root\0")]
            return query.wire(limit)
        f = self.fault(name, kind)
        action = f["action"] if f else None
        if action == "drop" or (action == "notcp" and tcp):
            return None
        if action == "garbage":
            return raw[:2] + b"\x84\x00\x00\x01\x00\x09\x00\x00\x00\x00" \
                + b"\xc0\x0c\x3f"
        try:
            answer = await self.forward(raw)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            return None
        msg = Message(answer)
        if action in ("truncate", "notcp") and not tcp:
            return msg.wire(0)
        if action:
            mangle(msg, action, f.get("rdata", ()), f.get("sigs", ()))
        return msg.wire(limit)


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, front, mode):
        self.front, self.mode = front, mode
        self.tasks = set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        task = asyncio.ensure_future(self.serve(data, addr))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, data, addr):
        out = await self.front.reply(data, self.mode, False)
        if out is not None:
            self.transport.sendto(out, addr)


async def stream(front, mode, reader, writer):
    try:
        for _ in range(100):
            head = await asyncio.wait_for(reader.readexactly(2), 10)
            raw = await asyncio.wait_for(
                reader.readexactly(struct.unpack("!H", head)[0]), 10)
            out = await front.reply(raw, mode, True)
            if out is None:
                break
            writer.write(struct.pack("!H", len(out)) + out)
            await writer.drain()
    except (asyncio.TimeoutError, asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()


async def main(path):
    with open(path) as f:
        conf = json.load(f)
    front = Front(conf)
    loop = asyncio.get_running_loop()
    for address, mode in conf["listen"]:
        await loop.create_datagram_endpoint(
            lambda mode=mode: Datagrams(front, mode),
            local_addr=(address, 53))
        await asyncio.start_server(
            lambda r, w, mode=mode: stream(front, mode, r, w), address, 53)
    with open(conf["ready"], "w") as f:
        f.write("%d\n" % os.getpid())
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
