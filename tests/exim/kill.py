# SPDX-License-Identifier: ISC
"""Exim with a part of Danevirke broken: nothing may go to a DANE domain in the
clear or to a host that did not prove itself, and the log says why.

Each row breaks one thing in a box of its own and sends one message to every
domain of scenarios.conf.  What must still arrive is in the row; all else must
wait in the queue, and no SMTP server may have seen an envelope or a password
that was not for it (Box.leaks()).
"""

import os
import re
import struct

import suite
from suite import ETC, HOOKS, MODULES, PREFIX, Box, add, case, want

DOMAINS = ("good", "wrong", "stripped", "second", "plain", "smart",
           "smart-wrong", "smart-stripped")
WORKS = {"good", "second", "plain", "smart"}    # with nothing broken
PASSWORD = {"smart", "smarts"}                  # they want one
NOBODY = "127.53.4.1"           # nobody listens (tests/lab/world.py)
SILENT = "127.53.3.4"           # bound, never answers
REFUSES = "127.53.3.2"          # REFUSED to everything
TEXT = "No module, but long enough to be read as the head of one.\n" * 99


def judge(box, arrives, says, names=DOMAINS, password=()):
    """One message to these domains; says: regular expressions for the log;
    password: who may have got it, though nothing arrives."""
    sent = box.send(*names)
    got = {n for n in sent.domains if sent.result(n) == "delivered"}
    want(not box.leaks(), "LEAKED\n%s" % sent)
    want(got == set(arrives), "delivered: %s, want %s\n%s" % (
        sorted(got), sorted(arrives), sent))
    for name in set(sent.domains) - got:
        want(sent.kept(name), sent)
        want(not box.sessions(name, envelope=True), sent)
    known = {r["scenario"] for r in box.sessions(password=True)}    # S08
    want(known == PASSWORD & set(arrives) | set(password), sent)
    for pattern in says:
        want(suite.found(pattern, sent.log), "no /%s/ in the log\n%s" % (
            pattern, sent))
    return sent


# ------------------------------------------------------- how a file is broken

def put(path, data, mode=0o755):
    """Another file in its place: the old one may have more names."""
    os.unlink(path)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    os.chmod(path, mode)


def content(path):
    with open(path, "rb") as f:
        return f.read()


def state(how):
    """The function as words: symbol missing"""
    return how.__name__.replace("_", " ")


def missing(box, path):
    os.unlink(path)


def garbage(box, path):
    put(path, TEXT)


def unreadable(box, path):
    """Root can read it all the same, so routers are not to run as root."""
    put(path, content(path), 0)
    box.main("deliver_drop_privilege = true")


def symbol_missing(box, path):
    put(path, content(MODULES + "/danevirke.so"))


def another(box, path):
    put(path, content(path))


def short(box, path):
    put(path, content(path)[:50])


def cut_off(box, path):
    """Within its segments: loading it kills the process."""
    data = content(path)
    # Elf64_Ehdr or Elf32_Ehdr: e_phoff, then e_phentsize and e_phnum; of each
    # segment p_offset + p_filesz
    head, counts, segment, first = (("=Q", 54, "=Q16xQ", 8) if data[4] == 2
                                    else ("=I", 42, "=I8xI", 4))
    at, = struct.unpack_from(head, data, 32 if data[4] == 2 else 28)
    size, n = struct.unpack_from("=HH", data, counts)
    ends = [sum(struct.unpack_from(segment, data, at + i * size + first))
            for i in range(n)]
    put(path, data[:max(ends) // 2])


# ------------------------------------------------------------ the Exim hooks

FILE = r'dlopen "\S*/%s.so" failed: '
BROKEN = ((missing, FILE + ".*cannot open shared object file: No such file"),
          (garbage, FILE + ".*invalid ELF header"),
          (unreadable, FILE + ".*cannot open shared object file: Permission"),
          (short, FILE + ".*file too short"),
          (symbol_missing, r'dlsym "danevirke_%s" in .* undefined symbol'))

NO_VERDICT = "authenticated_sender: no verdict for this session"
IN_CLEAR = "authenticated_sender: this session is not encrypted"
HOOK_ROWS = (
    # functions broken, what arrives all the same, what the log says
    ("route", (), "R=danevirke_route defer .*failed to expand"),
    ("unroutable", ("smart",), "R=danevirke_unroutable defer .*failed to"),
    # these fail open: what follows must refuse
    ("event", ("plain",), NO_VERDICT),
    ("require_tls", ("good", "plain", "smart"), IN_CLEAR),
    # without these Exim starts no TLS
    ("sni", ("plain",), "expansion of tls_out_sni failed"),
    ("priority", ("plain",), "expansion of tls_require_ciphers failed"),
    # these fail closed
    ("gate", (), "failed to expand authenticated_sender: dl"),
    ("auth", WORKS - {"smart"}, "authentication required"),
    ("event require_tls", ("plain",), NO_VERDICT),
    # all of the transport's but the gate
    ("event require_tls sni priority", ("plain",), IN_CLEAR),
    (" ".join(HOOKS), (), "R=danevirke_unroutable defer .*failed to expand"),
)
# The file was replaced, as by an upgrade: a second library, that knows nothing
# of what the first has seen.  A router is asked twice, and require_tls says
# "required" when in doubt.
ANOTHER = "not routed by danevirke_route in this process"
COPY_ROWS = (("route", WORKS, " => "), ("unroutable", WORKS, " => "),
             ("require_tls", WORKS, " => "), ("event", (), ANOTHER),
             ("sni", ("plain",), ANOTHER), ("priority", ("plain",), ANOTHER),
             ("gate", (), "authenticated_sender: .*" + ANOTHER),
             ("auth", WORKS - {"smart"}, ANOTHER))
# A process that dies takes the whole delivery with it; these are not called
# for every host.
CRASH_ROWS = {"require_tls": ("good", "plain", "smart"),
              "auth": WORKS - {"smart"}}


def hooks(w, names, how, arrives, says, domains=DOMAINS):
    box = Box(w).own_hooks()
    for name in names.split():
        how(box, box.hook(name))
    judge(box.start(), arrives, says, domains,
          PASSWORD & set(domains) if names == "gate" else ())


for names, arrives, says in HOOK_ROWS:
    for how, file in BROKEN:
        file %= "(?:%s)" % names.replace(" ", "|")
        add("hook %s %s: nothing leaks and the log says why (P03 S08)" % (
            names, state(how)), hooks, names, how, arrives, (file, says))
for names, arrives in (("event", ()), ("require_tls", ("smarts",)),
                       ("sni", ()), ("priority", ()), ("gate", ()),
                       ("auth", ())):
    add("hook %s missing, TLS at once: no stranger gets mail (S08)" % names,
        hooks, names, missing, arrives,
        # with TLS from the first byte on Exim does not ask for require_tls
        ("SSL verify denied" if names == "require_tls" else FILE % names,),
        ("smarts", "smarts-wrong"))
for names, arrives, says in COPY_ROWS:
    add("hook %s from a file replaced: nothing leaks (P03 S08)" % names, hooks,
        names, another, arrives, (says,))
for name in HOOKS:
    add("hook %s cut off: the process dies, nothing leaks (P03 S08)" % name,
        hooks, name, cut_off, CRASH_ROWS.get(name, ()),
        ("with signal 7|by signal 7",))


@case("nothing broken, every hook by a path of its own: mail flows (S08 T01)")
def whole(w):
    judge(Box(w).own_hooks().start(), WORKS, ("good.alpha:25: dane: ",))


# ------------------------------------------- the module, its configuration

def module(w, how, says):
    box = Box(w)
    how(box, box.modules + "/danevirke.so")
    judge(box.start(), (), says)


def other(name):
    """One of the modules of tests/unit/wrong."""
    def how(box, path):
        put(path, content("%s/.libs/%s.so" % (box.world.build, name)))
    how.__name__ = name
    return how


DEFERS = r" danevirke: good.alpha: deferred: %s/\S*" % PREFIX
for how, says in (
        (missing, "danevirke.so: cannot open shared object file: No such"),
        (garbage, "danevirke.so: invalid ELF header"),
        (short, "danevirke.so: file too short"),
        (unreadable, "danevirke.so: cannot open shared object.*: Permission"),
        (other("wrongabi"), "danevirke.so: not of interface version 1"),
        (other("wrongsize"), "danevirke.so: .*older than this program"),
        (other("wrongname"), "danevirke.so: no symbol danevirke_v1")):
    add("a module, %s: mail waits and the log says why (P03)" % state(how),
        module, how, (DEFERS + says,))
add("a module, cut off: mail waits and the log says why (P03)", module,
    cut_off, ("crashed with signal 7",))


def config(w, change, says, names):
    box = Box(w)
    change(box)
    judge(box.start(), (), says, names)


def written(pattern, new):
    """danevirke.conf with a part replaced; BOX: the box's etc."""
    def change(box):
        text, n = re.subn(pattern, lambda _: new.replace("BOX", box.etc),
                          content(box.conf).decode())
        want(n, "no /%s/ in danevirke.conf" % pattern)
        put(box.conf, text, 0o644)
    return change


def conf(how):
    return lambda box: how(box, box.conf)


def root_only(box, path):
    """Root reads it, the process that asks does not."""
    os.chmod(path, 0o600)


def no_profile(box):
    box.edit(r"^DANEVIRKE_PROFILE = .*", "DANEVIRKE_PROFILE = nosuch")


SAYS = r" danevirke: good.alpha: deferred: "
CONF = SAYS + ETC + "/danevirke.conf"
for name, change, says in (
        ("missing", conf(missing), CONF + ": No such file"),
        ("root's only", conf(root_only), CONF + ": Permission denied"),
        ("unreadable", conf(unreadable), CONF + ": Permission denied"),
        ("garbage", conf(garbage), CONF + ":1: syntax error"),
        ("syntax", written("timeout = 8;", "timeout = = 8;"),
         CONF + ":[0-9]+: syntax error"),
        ("unknown setting", written("timeout = 8;", "timeuot = 8;"),
         CONF + ":[0-9]+: resolver.timeuot: unknown setting"),
        ("wrong type", written("timeout = 8;", 'timeout = "8";'),
         CONF + ':[0-9]+: resolver.timeout: "8": want seconds'),
        ("out of range", written("timeout = 8;", "timeout = 0;"),
         CONF + ":[0-9]+: resolver.timeout: 0: want seconds"),
        ("unknown level", written('"dane-only"', '"none"'),
         CONF + ':[0-9]+: profiles.strict.level: "none"'),
        ("no such profile", no_profile, SAYS + 'profile "nosuch": not in '),
        # as root the shim becomes that user before it asks DNS
        ("no such user", written(r"\A", 'exim: { user = "nosuch"; };\n'),
         SAYS + 'exim.user: "nosuch": want a user that exists'),
        ("user root", written(r"\A", 'exim: { user = "root"; };\n'),
         CONF + ':[0-9]+: exim.user: "root": want the name of a user')):
    add("danevirke.conf, %s: mail waits and the log says why (P03)" % name,
        config, change, (says,), DOMAINS)


# ------------------------------------------------------ trust anchor and DNS

def anchor(text, how=None):
    def change(box):
        path = box.etc + "/root.ds"
        with open(path, "w") as f:
            f.write(text)
        if how:
            how(box, path)
        written('trust_anchor = "[^"]*"', 'trust_anchor = "BOX/root.ds"')(box)
    return change


def other_key(box):
    """The root's own DS, but for one digit of the digest."""
    text = content(box.world.anchor).decode().rstrip()
    anchor(text[:-1] + ("1" if text.endswith("0") else "0") + "\n")(box)


KEY = ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683" \
    "457104237C7F8EC8D\n"
BOGUS = r"MX lookup failed: validation failure .*; the root's keys do not " \
    r"match \S*/root.ds"
for name, change, says in (
        ("empty", anchor(""), ":1: no trust anchor"),
        ("missing", anchor("", missing), ": No such file"),
        ("root's only", anchor(KEY, root_only), ": Permission denied"),
        ("unreadable", anchor(KEY, unreadable), ": Permission denied"),
        ("garbage", anchor(TEXT), ':1: .*want an anchor for "."'),
        ("another zone's", anchor(KEY.replace(".", "alpha.", 1)),
         ':1: "alpha.": want an anchor for "."'),
        ("unknown algorithm", anchor(KEY.replace(" 8 2 ", " 200 2 ")),
         ":1: DS of an unsupported algorithm"),
        ("Ed448", anchor(KEY.replace(" 8 2 ", " 16 2 ")),
         r":1: DS of an unsupported algorithm, 16 \(ED448\)"),
        ("unknown digest", anchor(KEY.replace(" 8 2 ", " 8 99 ")),
         ":1: DS of an unsupported digest"),
        # well formed: every name is bogus
        ("another root's", anchor(KEY), BOGUS),
        ("another key", other_key, BOGUS)):
    add("an anchor, %s: mail waits and the log says why (D05)" % name, config,
        change,
        (SAYS + (says if says is BOGUS else
                 r"resolver\.trust_anchor: \S*/root.ds" + says),), DOMAINS)


def servers(address, setting='root_hints = "BOX/root.hints"'):
    def change(box):
        with open(box.etc + "/root.hints", "w") as f:
            f.write(". 3600 NS a.root.\na.root. 3600 A %s\n" % address)
        written('root_hints = "[^"]*"', setting)(box)
        written("timeout = [0-9]", "timeout = 1")(box)
    return change


def forwarder(address):
    return servers(address, 'forward = [ "%s" ]' % address)


LATE = "no answer within 1 s"
SERVFAIL = "SERVFAIL: no server gave a usable answer"
for name, change, says in (
        ("root servers not there", servers(NOBODY), LATE),
        ("root servers silent", servers(SILENT), LATE),
        ("root servers refuse", servers(REFUSES), SERVFAIL),
        ("forwarder not there", forwarder(NOBODY), LATE),
        ("forwarder silent", forwarder(SILENT), LATE),
        ("forwarder refuses", forwarder(REFUSES), SERVFAIL)):
    # few domains: the lookups take their time one after the other
    add("%s: mail waits and the log says why (D03)" % name, config, change,
        (SAYS + "MX lookup failed: " + says,),
        ("good", "plain", "smart-wrong"))


# ------------------------------------------------- lines that were forgotten

OPTION = {"gate": "authenticated_sender", "event": "event_action",
          "require_tls": "hosts_require_tls", "sni": "tls_sni",
          "priority": "tls_require_ciphers", "auth": "client_condition"}


def without(w, *names):
    """A box whose Exim configuration lacks these functions' options."""
    box = Box(w)
    for name in names:
        box.edit(r"^ *%s = (.*\\\n)*.*\n" % OPTION[name], "")
    return box


for name, arrives, says in (
        ("gate", WORKS, "SSL verify denied by event-action"),
        ("event", ("plain",), NO_VERDICT),
        ("require_tls", ("good", "plain", "smart"), IN_CLEAR),
        ("sni", WORKS, "good.alpha:25: dane: "),
        ("priority", WORKS, "good.alpha:25: dane: "),
        ("auth", WORKS, "good.alpha:25: dane: ")):
    add("%s left out of the transport: nothing leaks (P03 S08)" % name,
        lambda w, *a: judge(without(w, a[0]).start(), *a[1:]), name,
        arrives, (says,))


# The tests above can fail: without the gate and one other line mail leaks, and
# leaks() sees it.

def leak(w, names, domain, clear, password):
    box = without(w, *names).start()
    sent = box.send(domain)
    rows = box.leaks(domain)
    want(rows, sent)
    want(any((r["tls"] is None) == clear for r in rows), sent)
    want(not password or any(r["auth"] for r in rows), sent)
    want(sent.result(domain) == "delivered", sent)


for domain, clear, password, names in (
        ("wrong", False, False, ("gate", "event")),
        ("stripped", True, False, ("gate", "require_tls")),
        ("smart-wrong", False, True, ("gate", "event", "auth")),
        ("smart-stripped", True, True, ("gate", "require_tls", "auth"))):
    add("control: without %s mail leaks to %s" % (" and ".join(names), domain),
        leak, names, domain, clear, password)


@case("control: without event and auth the gate is too late for a password")
def password(w):
    box = without(w, "event", "auth").start()
    sent = box.send("smart-wrong")
    want(sent.kept("smart-wrong"), sent)
    want(box.sessions("smart-wrong", password=True), sent)
    want(not box.sessions("smart-wrong", envelope=True), sent)


@case("control: a router that lets go of a domain would be seen")
def declined(w):
    box = Box(w).edit(r"\{danevirke_route\}", "{danevirke_unroutable}").start()
    sent = box.send("wrong")
    want(sent.result("wrong") == "delivered" and box.leaks("wrong"), sent)
