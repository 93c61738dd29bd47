# SPDX-License-Identifier: ISC
"""What MTA-STS takes in the lab: a web server with the policies, and a front
before mta-sts-daemon that logs who is asked for and goes wrong if it is told.

Run as `policies.py CONFIG`.  CONFIG is JSON:

    {"https": [ADDRESS, ...], "cert": PATH, "front": [ADDRESS, PORT],
     "daemon": [ADDRESS, PORT], "log": PATH, "ready": PATH,
     "policies": {DOMAIN: {"text": TEXT, "web": ACTION or null,
                           "server": ACTION or null}}}

CONFIG is read again for every policy, so that it can change.  The log has a
line "DOMAIN. POLICY" for every question.

ACTION of the web server: "404"; "html": another type of content.
ACTION of the front, in place of the daemon's reply:
    temp perm timeout   that word, and why
    slow                the reply, after 30 seconds
    silent              nothing, the connection stays
    close               the connection is closed
    garbage             octets that are no netstring
    half                half of a reply, then silence
    huge                a reply of 100 KB
    other               a policy that is not of MTA-STS
    pieces              the daemon's reply, octet by octet
"""

import asyncio
import json
import os
import ssl
import sys

import smtpd

SLOW = 30                       # seconds
PATH = "/.well-known/mta-sts.txt"
FIXED = {"temp": "TEMP try again", "perm": "PERM not me",
         "timeout": "TIMEOUT too slow", "other": "OK encrypt",
         "huge": "OK secure match=" + "mx.example.org:" * 7000}


def netstring(text):
    return b"%d:%s," % (len(text), text.encode())


async def netstring_read(reader):
    size = int((await reader.readuntil(b":"))[:-1])
    text = await reader.readexactly(size + 1)
    return text[:-1].decode()


class Policies:
    def __init__(self, path):
        self.path = path
        self.conf = self.load()
        self.log = open(self.conf["log"], "a", buffering=1)

    def load(self):
        with open(self.path) as f:
            return json.load(f)

    def policy(self, domain):
        return self.load()["policies"].get(domain, {})

    # ------------------------------------------------------- the web server

    async def on_web(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *fields = head.split("\r\n")
            host = next((f.split(":", 1)[1].strip() for f in fields
                         if f.lower().startswith("host:")), "")
            writer.write(self.web_reply(line, host).encode())
            await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def web_reply(self, line, host):
        domain = host.split(":")[0].partition("mta-sts.")[2]
        p = self.policy(domain)
        if not p.get("text") or line.split()[1:2] != [PATH] or (
                p.get("web") == "404"):
            return "HTTP/1.1 404 no\r\nConnection: close\r\n\r\n"
        kind = "text/html" if p.get("web") == "html" else "text/plain"
        return ("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n"
                "Content-Length: %d\r\n\r\n%s" % (kind, len(p["text"]),
                                                  p["text"]))

    # ------------------------------------------------------------ the front

    async def on_front(self, reader, writer):
        try:
            while True:
                question = await netstring_read(reader)
                domain = question.partition(" ")[2]
                self.log.write("%s. POLICY\n" % domain)
                action = self.policy(domain).get("server")
                if await self.front_reply(question, action, reader, writer):
                    break
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def front_reply(self, question, action, reader, writer):
        """True: that was the last."""
        if action in FIXED:
            writer.write(netstring(FIXED[action]))
        elif action == "garbage":
            writer.write(b"HTTP/1.1 400 what?\r\n\r\n")
        elif action == "close":
            return True
        elif action in ("half", "silent"):
            writer.write(b"30:OK secure" if action == "half" else b"")
            await reader.read()
            return True
        else:
            reply = await self.ask(question)
            if action == "slow":
                await asyncio.sleep(SLOW)
            for at in range(len(reply) if action == "pieces" else 1):
                writer.write(reply[at:at + 1] if action == "pieces" else reply)
                await writer.drain()
                await asyncio.sleep(0)
        await writer.drain()
        return False

    async def ask(self, question):
        reader, writer = await asyncio.open_connection(*self.conf["daemon"])
        try:
            writer.write(netstring(question))
            return netstring(await netstring_read(reader))
        finally:
            writer.close()


async def main(path):
    p = Policies(path)
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(p.conf["cert"], p.conf["cert"] + ".key")
    for address in p.conf["https"]:
        await asyncio.start_server(p.on_web, sock=smtpd.listen(address, 443),
                                   ssl=ctx)
    await asyncio.start_server(p.on_front, *p.conf["front"], backlog=1000)
    with open(p.conf["ready"], "w") as f:
        f.write("%d\n" % os.getpid())
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
