# SPDX-License-Identifier: ISC
"""examples/exim in an administrator's hands: Debian's split configuration, as
update-exim4.conf makes it, hooks of the administrator's own beside ours, and
builds of Exim that cannot use them."""

import os
import pwd
import re
import shutil
import subprocess
import time

import dkim
import exim
from suite import Box, add, case, found, want
from world import PREFIX

EXAMPLES = exim.EXAMPLES
CONFDIR = "/etc/exim4"
DEBCONF = """dc_eximconfig_configtype='%s'
dc_other_hostnames='lab.alpha'
dc_local_interfaces='127.0.0.1'
dc_readhost=''
dc_relay_domains='%s'
dc_minimaldns='true'
dc_relay_nets=''
dc_smarthost='%s'
CFILEMODE='644'
dc_use_split_config='%s'
dc_hide_mailname='false'
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""
# What the lab adds, as a file of conf.d/main: where a box keeps its files, and
# that nothing waits for long.
LAB = """SPOOLDIR = %(dir)s/spool
MAIN_HARDCODE_PRIMARY_HOSTNAME = %(helo)s
ETC_MAILNAME = lab.alpha
DANEVIRKE_LIB = %(lib)s
log_file_path = %(dir)s/log/%%slog
"""
SHORT = "  connect_timeout = 3s\n  command_timeout = 4s\n"
SECRET = "secret^;x:y"          # what has a meaning to Exim
NEEDED = "/usr/sbin/update-exim4.conf"


def edit(path, *changes):
    """Replaces each regular expression, which must be there."""
    with open(path) as f:
        text = f.read()
    for pattern, new in changes:
        text, n = re.subn(pattern, new, text, flags=re.M)
        want(n, pattern)
    with open(path, "w") as f:
        f.write(text)


def ours(conf, kind, split):
    """Ours where danevirke-exim(7) has it."""
    hop = "-smarthost" if kind != "internet" else ""
    line = ".include %s/danevirke%s-%%s\n" % (EXAMPLES, hop)
    if split:
        for place, part in (("router/190", "routers"),
                            ("transport/40", "transports")):
            with open("%s/conf.d/%s_danevirke" % (conf, place), "w") as f:
                f.write(line % part)
        return
    above = "smarthost" if hop else "dnslookup_relay_to_domains"
    edit(conf + "/exim4.conf.template",
         ("^%s:$" % above, line % "routers" + above + ":"),
         ("^begin transports$", "begin transports\n" + line % "transports"
          + SHORT))


AUTH = ((r"\{\$host\}nwild", "{DANEVIRKE_RELAY_HOST}nwild"),
        ("^  public_name = (PLAIN|LOGIN|CRAM-MD5)$", r"\g<0>\n"
         "  client_condition = DANEVIRKE_RELAY_JUDGED"))


def generated(box, kind, smarthost="", client=None, macros="", split=True,
              auth=True, relay=""):
    """What update-exim4.conf makes of Debian's files and ours.  client: the
    password for the smarthost, in passwd.client; auth: authenticators are as
    danevirke-exim(7) wants them; relay: dc_relay_domains."""
    conf = box.dir + "/debian"
    shutil.copytree(CONFDIR + "/conf.d", conf + "/conf.d")
    shutil.copy(CONFDIR + "/exim4.conf.template", conf)
    ours(conf, kind, split)
    if auth:
        edit(conf + ("/conf.d/auth/30_exim4-config_examples" if split else
                     "/exim4.conf.template"), *AUTH)
    lab = LAB % {"dir": box.dir, "helo": box.helo, "lib": exim.PREFIX
                 + "/lib/danevirke/exim.so"} + macros + "\n"
    with open(conf + "/conf.d/main/000_lab", "w") as f:
        f.write(lab)
    edit(conf + "/exim4.conf.template", (r"\A", lambda m: lab))
    with open(conf + "/conf.d/transport/41_lab", "w") as f:
        f.write(SHORT)          # goes on where ours ends
    with open(conf + "/update-exim4.conf.conf", "w") as f:
        f.write(DEBCONF % (kind, relay, smarthost,
                           "true" if split else "false"))
    if client is not None:
        with open(box.dir + "/exim4/passwd.client", "w") as f:
            f.write("%s:user:%s\n" % (smarthost.partition(":")[0], client))
    subprocess.run([NEEDED, "-d", conf, "-o", box.dir + "/generated"],
                   check=True, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT)
    with open(box.dir + "/generated") as f:
        text = f.read()
    box.text = box.include(text.replace(conf, CONFDIR))
    return box.start()


def order(box, what):
    said = box.run("-bP", what).stdout.split()
    return said


@case("Debian, internet site: ours stands before dnslookup, and mail flows")
def internet(w):
    box = generated(Box(w), "internet")
    routers = order(box, "router_list")
    want(routers.index("danevirke_unroutable") <
         routers.index("danevirke_route") < routers.index("dnslookup"),
         routers)
    want("danevirke_smtp" in order(box, "transport_list"), "no transport")
    verdicts = {"good": "dane", "second": "dane", "clear": "clear",
                "plain": "opportunistic-tls", "wrong": "deferred",
                "stripped": "deferred"}
    sent = box.send(*verdicts)
    want(not box.leaks(), "LEAKED\n%s" % sent)
    for name, verdict in verdicts.items():
        want(sent.result(name) == ("deferred" if verdict == "deferred"
                                   else "delivered"), "%s: %s" % (name, sent))
        want(found(r"danevirke: %s\.alpha via .*: %s: " % (name, verdict),
                   sent.log), "%s: %s" % (name, sent))
    want("T=remote_smtp" not in sent.log, sent)


@case("Debian: a domain of level off goes to Debian's own router (P02)")
def level_off(w):
    box = Box(w)
    with open(box.conf) as f:
        text = f.read()
    rule = 'destinations = ( { domain = "%s"; level = "off"; ' \
        'reason = "test"; } );' % w.scenarios["good"].domain()
    text, n = re.subn(r"(?s)destinations = \(.*?\);", rule, text)
    want(n == 1, text)
    with open(box.conf, "w") as f:
        f.write(text)
    generated(box, "internet")
    said = box.run("-bt", "user@" + w.scenarios["good"].domain()).stdout
    want("R: dnslookup for user@" in said, said)


def smarthost_of(w, name):
    host, port, _ = w.scenarios[name].relay
    return "%s::%d" % (w.scenarios[name].name(host).rstrip("."), port)


def smarthost(w, name, arrives, password=True, macros="", kind="smarthost",
              says=None):
    """Everything goes by way of this scenario's relay host."""
    box = generated(Box(w), kind, smarthost_of(w, name),
                    SECRET if password else None, macros)
    sent = box.send(name)
    want(not box.leaks(), "LEAKED\n%s" % sent)
    want((sent.result(name) == "delivered") == arrives, sent)
    known = box.sessions(password=True)
    want(bool(known) == (arrives and password), sent)
    want(not arrives or "T=danevirke_smarthost" in sent.log, sent)
    want(found(says or (": dane: " if arrives else ": deferred: "), sent.log),
         sent)
    want(sent.log.count(": dane: ") == arrives, sent)   # once, AUTH or not
    want(sent.result(name) == ("delivered" if arrives else "deferred"), sent)
    if known:
        want(known[0]["auth"][-1].endswith(SECRET), known[0]["auth"])


add("Debian, smarthost: the password comes after the judgement (S08)",
    smarthost, "smart", True)
add("Debian, smarthost: no password for another certificate (S08)", smarthost,
    "smart-wrong", False)
add("Debian, smarthost: no password in the clear (S08 T02)", smarthost,
    "smart-stripped", False)
add("Debian, smarthost without DANE or TLS: no password in the clear (S08)",
    smarthost, "smart-clear", False, True, "", "smarthost",
    ": no password is sent in the clear")
SMTPS = "DANEVIRKE_RELAY_PROTOCOL = smtps\n"
add("Debian, smarthost, port 465: password after judgement (S08)",
    smarthost, "smarts", True, True, SMTPS)
add("Debian, smarthost, port 465: no password for another certificate (S08)",
    smarthost, "smarts-wrong", False, True, SMTPS)
add("Debian, smarthost without a password: mail arrives by DANE (B01)",
    smarthost, "smart-open", True, False)
add("Debian, satellite: mail arrives by DANE (B01)", smarthost, "smart-open",
    True, False, "", "satellite")


def judged(w, name, condition):
    """client_condition alone: nothing before it refuses the host."""
    box = generated(Box(w), "smarthost", smarthost_of(w, name),
                    SECRET, "AUTH_CLIENT_ALLOW_NOTLS_PASSWORDS = 1\n")
    for option in ("event_action", "hosts_require_tls"):
        box.edit(r"^(danevirke_smarthost|DANEVIRKE_RELAY_NAME)(:\n  driver = "
                 r"smtp\n(?:.*\n)*?)  %s = (?:.*\\\n)+.*\n" % option,
                 r"\1\2", 1)
    if not condition:
        box.edit(r"^  client_condition = .*\n", "")
    sent = box.start().send(name)
    want(sent.kept(name) and not box.sessions(envelope=True), sent)
    want(bool(box.sessions(password=True)) != condition, sent)


for name in ("smart-wrong", "smart-stripped"):
    add("Debian, client_condition alone: no password for %s (S08)" % name,
        judged, name, True)
    add("control: Debian, without it the password goes to " + name, judged,
        name, False)


def debian_macros(w, split, kind):
    box = generated(Box(w), kind, split=split, smarthost="a.example", macros=(
        "REMOTE_SMTP_HELO_DATA = other.lab.alpha\n"
        "REMOTE_SMTP_RETURN_PATH = back@lab.alpha\n"
        "REMOTE_SMTP_HEADERS_REWRITE = a@b.example c@d.example f\n"
        "REMOTE_SMTP_TRANSPORTS_HEADERS_REMOVE = X-Gone\n"
        "IGNORE_SMTP_LINE_LENGTH_LIMIT = 1\nTLS_DH_MIN_BITS = 1536\n"
        "REMOTE_SMTP_INTERFACE = 127.0.0.1\n"
        "DKIM_DOMAIN = lab.alpha\nDKIM_SELECTOR = s1\n"
        "DKIM_PRIVATE_KEY = /nowhere\nDKIM_STRICT = 0"))
    ours, theirs = (("danevirke_smtp", "remote_smtp") if kind == "internet"
                    else ("danevirke_smarthost", "remote_smtp_smarthost"))
    said = box.run("-bP", "transport", ours).stdout
    was = box.run("-bP", "transport", theirs).stdout
    for name in KEPT:
        line = re.search("^(no_)?%s( =.*)?$" % name, was, re.M).group()
        want("\n%s\n" % line in said, "%s\n%s" % (line, said))
    if kind != "internet":
        return
    for line in ("helo_data = other.lab.alpha", "return_path = back@lab.alpha",
                 "dkim_domain = lab.alpha", "dkim_selector = s1",
                 "dkim_private_key = /nowhere", "dkim_strict = 0",
                 "no_delay_after_cutoff", "no_multi_domain"):
        want("\n%s\n" % line in said, "%s\n%s" % (line, said))


KEPT = ("helo_data", "interface", "return_path", "headers_rewrite",
        "headers_remove", "message_linelength_limit", "tls_dh_min_bits",
        "tls_certificate", "tls_privatekey", "dkim_domain", "dkim_selector",
        "dkim_private_key", "dkim_canon", "dkim_strict", "dkim_sign_headers",
        "dkim_timestamps", "dkim_identity")
for kind in ("internet", "smarthost"):
    for split in (True, False):
        add("Debian, %s, %s: what its transport takes from macros ours does"
            % (kind, "split" if split else "unsplit"), debian_macros, split,
            kind)


def signs(w, split):
    """A message is signed as before, and arrives so."""
    box = Box(w)
    public = dkim.key(box.dir + "/dkim.pem", pwd.getpwnam(exim.USER))
    generated(box, "internet", split=split, macros=(
        "DKIM_DOMAIN = lab.alpha\nDKIM_SELECTOR = s1\nDKIM_STRICT = 1\n"
        "DKIM_PRIVATE_KEY = %s/dkim.pem" % box.dir))
    sent = box.send("kept")
    want(sent.result("kept") == "delivered", sent)
    want("T=danevirke_smtp" in sent.log, sent)
    got, = [r["content"] for r in box.sessions("kept") if r["what"] == "kept"]
    want(dkim.good(got, "lab.alpha", "s1", public), got)


def by_name(w, split):
    """The entry of passwd.client, by the smarthost's name."""
    box = Box(w)
    generated(box, "smarthost", smarthost_of(w, "smart"), SECRET, split=split)
    sent = box.send("smart")
    want(sent.result("smart") == "delivered", sent)
    want(found(": dane: ", sent.log), sent)
    known = box.sessions(password=True)
    want(known and known[0]["auth"][-1].endswith(SECRET), sent)


def without_auth(w, split, macros, arrives):
    """Debian's authenticators do not find it: nothing goes without it."""
    box = Box(w)
    generated(box, "smarthost", smarthost_of(w, "smart"), SECRET, macros,
              split, auth=False)
    sent = box.send("smart")
    want(not box.sessions(password=True), sent)
    want(sent.result("smart") == ("delivered" if arrives else "deferred"), sent)
    want(bool(box.sessions(envelope=True)) == arrives, sent)


def relay_domains(w, split):
    """Domains of relay_to_domains, too."""
    domain = w.scenarios["good"].domain()
    box = generated(Box(w), "internet", split=split, relay=domain)
    said = box.run("-bt", "user@" + domain).stdout
    want("router = danevirke_route, transport = danevirke_smtp" in said, said)


for split in (True, False):
    name = "Debian, %s: " % ("split" if split else "unsplit")
    add(name + "what was signed with DKIM is signed", signs, split)
    add(name + "a password of passwd.client, by the smarthost's name (S08)",
        by_name, split)
    add(name + "with a password, and no authenticator of ours, mail waits "
        "(S08)", without_auth, split, "", False)
    add(name + "relay_to_domains go by DANE", relay_domains, split)
add("control: Debian, without hosts_require_auth it goes without its password",
    without_auth, True, "DANEVIRKE_RELAY_AUTH =\n", True)


def own(w, *macros):
    """A box with hooks of the administrator's own."""
    box = Box(w)
    for macro in macros:
        box.main(macro)
    # with both the log has the sender as it went into MAIL ... AUTH=
    box.edit("client_send = .*", r"\g<0>\n  client_set_id = user", 1)
    return box.edit("deliver_time", "deliver_time +smtp_mailauth", 1)


NAMES = ("good", "wrong", "stripped", "smart", "smart-wrong",
         "smart-stripped")


@case("an event_action and authenticated_sender beside ours do their work")
def beside(w):
    box = own(w, "DANEVIRKE_MY_SENDER = own@lab.alpha")
    seen = box.dir + "/spool/seen-"
    box.main("DANEVIRKE_MY_EVENT = ${if eq{$event_name}{msg:delivery}"
             "{${run{/usr/bin/touch %s$domain}}}}" % seen)
    sent = box.start().send(*NAMES)
    want(not box.leaks(), "LEAKED\n%s" % sent)
    for name in NAMES:
        good = name in ("good", "smart")
        want(sent.result(name) == ("delivered" if good else "deferred"), sent)
        want(os.path.exists(seen + name + ".alpha") == good, name)
    want(found(r"=> user@smart.alpha .* A=plain:user:own@lab.alpha ", sent.log),
         sent)


def beside_broken(w, delivers, *macros):
    """What is wrong with them opens nothing."""
    sent = own(w, *macros).start().send(*NAMES)
    want(not sent.box.leaks(), "LEAKED\n%s" % sent)
    for name in NAMES:
        want(sent.result(name) == (
            "delivered" if delivers and name in ("good", "smart")
            else "deferred"), "%s: %s" % (name, sent))


for what, delivers, macro in (
        ("event_action that fails", True,
         "DANEVIRKE_MY_EVENT = ${if nosuch{a}{b}}"),
        ("event_action that gives up", True,
         "DANEVIRKE_MY_EVENT = ${if eq{1}{2}{}fail}"),
        ("authenticated_sender that fails", False,
         "DANEVIRKE_MY_SENDER = ${nosuch:x}"),
        ("authenticated_sender that gives up", True,
         "DANEVIRKE_MY_SENDER = ${if eq{1}{2}{}fail}")):
    add("beside ours an %s leaks nothing (P03)" % what, beside_broken,
        delivers, macro)


# ---------------------------------------------------------------- retrying

@case("the retry rule of the examples is taken, and mail waits")
def retry_rule(w):
    box = Box(w)
    with open(EXAMPLES + "/danevirke-retry") as f:
        rule = f.read()
    box.edit(r"^\* \* F,1h,15m$", rule.replace("\\", r"\\"), 1).start()
    said = box.run("-brt", "good.alpha").stdout
    want(found(r"F,2h,15m; *G,16h,1h,1\.5; *F,5d,6h", said), said)
    want(box.send("wrong").result("wrong") == "deferred", said)


def past_cutoff(w, option):
    """The second message's sessions with a host that has failed for longer
    than the retry rule lasts."""
    box = Box(w).edit(r"^\* \* F,1h,15m$", "* * F,1s,1h", 1)
    if not option:
        box.edit("^  delay_after_cutoff = false\n", "")
    box.start().send("wrong")
    time.sleep(2)
    box.run("-qff")
    box.settle()
    before = len(box.sessions("wrong"))
    sent = box.send("wrong")
    want(not box.leaks(), sent)
    return len(box.sessions("wrong")) - before, sent


@case("past the retry rule's end each new message has its attempt (P03)")
def attempt(w):
    number, sent = past_cutoff(w, True)
    want(number == 1, sent)


@case("control: without delay_after_cutoff it has none")
def no_attempt(w):
    number, sent = past_cutoff(w, False)
    want(number == 0, sent)


# ------------------------------------------------ what an Exim must have

def refused(w, part, macro, says):
    """A build of Exim that lacks this macro does not take the file."""
    box = Box(w)
    with open("%s/danevirke-%s" % (EXAMPLES, part)) as f:
        box.text = ("DANEVIRKE_RELAY_NAME = relay\n"
                    "DANEVIRKE_RELAY_HOST = mx.example\n"
                    "domainlist local_domains =\nbegin %s\n%s" % (
                        part.rpartition("-")[2], f.read()))
    box.start()
    box.edit(r"^\.ifndef _HAVE_%s$" % macro, ".ifndef _HAVE_NO_SUCH", 1)
    try:
        box.start()
    except ValueError as e:
        want(found(r"failed to open .*/%s.*danevirked\(8\)" % says, str(e)), e)
        return
    want(False, "Exim starts")


for part in ("routers", "transports", "smarthost-routers",
             "smarthost-transports"):
    for macro, says in (("DLFUNC", r"no \$\{dlfunc\} .*exim4-daemon-heavy"),
                        ("GNUTLS", "no GnuTLS ")):
        add("danevirke-%s without _HAVE_%s: Exim says what is missing (P03)" %
            (part, macro), refused, part, macro, says)


@case("an Exim that was linked with another TLS: all its mail waits (P03)")
def other_tls(w):
    """GnuTLS under another name, in place of OpenSSL under its own."""
    box = Box(w)
    with open(exim.EXIM, "rb") as f:
        program = f.read()
    name = re.search(rb"\0(libgnutls\.so\.\d+)\0", program).group(1)
    said = subprocess.run(["ldd", exim.EXIM], stdout=subprocess.PIPE,
                          text=True, check=True).stdout
    other = (os.path.dirname(PREFIX) + "/tls").ljust(len(name), ".")
    os.symlink(re.search(r"%s => (\S+)" % name.decode(), said).group(1), other)
    with open(box.dir + "/exim", "wb") as f:
        f.write(program.replace(b"\0%s\0" % name,
                                b"\0%s\0" % other.encode()))
    os.chmod(box.dir + "/exim", 0o4755)
    box.mounts.append((box.dir + "/exim", exim.EXIM))
    sent = box.start().send("good", "clear", "plain")
    want(sent.kept("good", "clear", "plain") and not box.sessions(), sent)
    want(sent.log.count("deferred: this Exim is not built with GnuTLS: use "
                        "danevirked(8)") == 3, sent)


if not os.path.exists(NEEDED):
    raise SystemExit("tests/exim: want Debian's exim4-config")
