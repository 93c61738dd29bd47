# SPDX-License-Identifier: ISC
"""danevirke doctor, of Debian's Exim and OpenSMTPD, in the world of check.conf;
tests/cli/run starts it.  A set-up is broken in one way: the finding and the
line to write are there.  A good one has no problem, and the lines that doctor
prints make one of it."""

import contextlib
import glob
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "lab"))
import exim  # noqa: E402
import opensmtpd  # noqa: E402
import tool  # noqa: E402
from check import CONF, domain, host  # noqa: E402
from tool import has, same, write  # noqa: E402

PREFIX = os.environ["DV_LAB_PREFIX"]
TOOL = PREFIX + "/bin/danevirke"
EXAMPLES = exim.EXAMPLES
ETC, VAR = "/etc/exim4", "/var/lib/exim4"
TABLE = opensmtpd.LIBEXEC + "/table-danevirke"
NUMBERS = itertools.count(1)
GOOD = domain("good")


def prepare():
    """OpenSMTPD's users and folders, and a store for Exim's."""
    opensmtpd.enter()
    os.symlink(opensmtpd.TABLE, TABLE)
    os.makedirs(VAR, exist_ok=True)
    os.makedirs("/run/danevirke/" + exim.USER, mode=0o700, exist_ok=True)
    shutil.chown("/run/danevirke/" + exim.USER, exim.USER, exim.USER)


def edit(path, pattern, new, count=0):
    with open(path) as f:
        text, n = re.subn(pattern, new, f.read(), count=count, flags=re.M)
    assert n, "%r not in %s" % (pattern, path)
    with open(path, "w") as f:
        f.write(text)


def append(path, text):
    with open(path, "a") as f:
        f.write(text)


BOTH = """.ifdef DCconfig_internet
.include %s/danevirke-%s
.endif
.ifdef DCconfig_smarthost DCconfig_satellite
.include %s/danevirke-smarthost-%s
.endif
"""


class Exim:
    """Debian's configuration, of this kind, in folders of its own."""

    def __init__(self, kind="internet", split=True, ours=True, smarthost="",
                 relay="", macros=""):
        self.dir = "%s/doctor%d" % (os.environ["DV_LAB_DIR"], next(NUMBERS))
        self.etc = self.dir + "/etc"
        shutil.copytree(ETC, self.etc)
        for name in ("var", "spool", "log"):
            os.makedirs(self.dir + "/" + name)
        for name in ("spool", "log"):
            shutil.chown(self.dir + "/" + name, exim.USER, exim.USER)
        with open(self.etc + "/update-exim4.conf.conf", "w") as f:
            f.write("""dc_eximconfig_configtype='%s'
dc_other_hostnames='lab.alpha'
dc_local_interfaces='127.0.0.1'
dc_relay_domains='%s'
dc_smarthost='%s'
CFILEMODE='644'
dc_use_split_config='%s'
dc_localdelivery='mail_spool'
""" % (kind, relay, smarthost, "true" if split else "false"))
        lab = """SPOOLDIR = %s/spool
log_file_path = %s/log/%%slog
MAIN_HARDCODE_PRIMARY_HOSTNAME = mail.lab.alpha
ETC_MAILNAME = lab.alpha
DANEVIRKE_LIB = %s/lib/danevirke/exim.so
%s
""" % (self.dir, self.dir, PREFIX, macros)
        self.template = self.etc + "/exim4.conf.template"
        with open(self.etc + "/conf.d/main/000_lab", "w") as f:
            f.write(lab)
        with open(self.template) as f:
            text = f.read()
        with open(self.template, "w") as f:
            f.write(lab + text)
        for place, part in (("router/190", "routers"),
                            ("transport/40", "transports")):
            if ours:
                append("%s/conf.d/%s_danevirke" % (self.etc, place), BOTH
                       % (EXAMPLES, part, EXAMPLES, part))

    def command(self, *args):
        binds = "mount --bind %s %s\nmount --bind %s/var %s\n" % (
            self.etc, ETC, self.dir, VAR)
        return subprocess.run(
            ["unshare", "-m", "sh", "-ec", binds + 'exec "$@"', "sh", *args],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=100, cwd="/", env={"PATH": os.environ["PATH"]})

    def update(self):
        p = self.command("update-exim4.conf")
        same(p.returncode, 0, p.stdout + p.stderr)
        return self

    def doctor(self, *args, config=CONF):
        return Doctor(self.command(TOOL, "doctor", "--json", "--config",
                                   config, *args, "exim"))


class Doctor:
    """What it has said of one server."""

    def __init__(self, p):
        r = tool.Result(p)
        self.code, self.out = r.code, r.out + r.err
        server, = r.json["servers"]
        self.findings, self.mail = server["findings"], server["mail"]
        self.verdict = server["verdict"]
        same(self.code, {"good": 0, "warning": 0, "problem": 1,
                         "untested": 2}[self.verdict], self.out)

    def problems(self):
        return [f["text"] for f in self.findings if f["severity"] == "problem"]

    def good(self):
        same(self.problems(), [], self.out)
        same(self.code, 0, self.out)
        return self

    def find(self, severity, text, lines=None):
        """The one finding that holds text, and the lines it wants."""
        f = [f for f in self.findings
             if f["severity"] == severity and text in f["text"]]
        assert len(f) == 1, "%r: %s" % (text, self.out)
        if lines is not None:
            has(f[0]["lines"] or "", lines)
        return f[0]


def way(doctor, name, by, verdict):
    m, = [m for m in doctor.mail if m["domain"] == name]
    same((m["by"], m["verdict"]), (by, verdict), doctor.out)


# --------------------------------------------------------------------- Exim

def test_split():
    """Debian, split, internet site: no problem, and a sentence"""
    d = Exim().update().doctor("--domain", GOOD).good()
    way(d, GOOD, "danevirke_smtp", "dane")
    d.find("note", "with GnuTLS, with ${dlfunc}")
    d.find("note", "Debian's configuration: internet, split")
    d.find("note", "DNS carries DNSSEC")


def test_text():
    """the sentence for people is the last line"""
    box = Exim().update()
    p = box.command(TOOL, "doctor", "--config", CONF, "--domain", GOOD, "exim")
    same(p.returncode, 0, p.stdout + p.stderr)
    has(p.stdout.splitlines()[-1],
        "  mail to %s goes by danevirke_smtp: dane: mx1." % GOOD)
    assert p.stdout.startswith("exim: "), p.stdout


def write_lines(box, d):
    """Those that it says, where it says."""
    for f in d.findings:
        place = re.search(r'just (above|below) "(.*?)"', f["where"] or "")
        new = re.match(r"(/etc/exim4/.*), a new file$", f["where"] or "")
        if new:
            append(new.group(1).replace(ETC, box.etc), f["lines"] + "\n")
        elif place:
            edit(box.template, "^%s$" % place.group(2),
                 (lambda m: f["lines"] + "\n" + m.group())
                 if place.group(1) == "above" else
                 (lambda m: m.group() + "\n" + f["lines"]), 1)


def test_unsplit():
    """unsplit: what it says to write makes it good"""
    box = Exim(split=False, ours=False).update()
    d = box.doctor("--offline")
    d.find("problem", "no router of Danevirke", "danevirke-routers")
    d.find("problem", "nor its transports", "danevirke-transports")
    write_lines(box, d)
    way(box.update().doctor("--domain", GOOD).good(), GOOD, "danevirke_smtp",
        "dane")


def test_split_missing():
    """split: the files to write are there, and make it good"""
    for kind, by in (("internet", "danevirke_smtp"),
                     ("smarthost", "danevirke_smarthost")):
        box = Exim(kind, ours=False, smarthost=host("good") + "::25").update()
        d = box.doctor("--offline")
        d.find("note", "danevirke setup exim",
               "update-exim4.conf && service exim4 restart")
        write_lines(box, d)
        way(box.update().doctor("--domain", GOOD).good(), GOOD, by, "dane")


def test_past():
    """the sentence says that mail goes past it, or nowhere (P08)"""
    box = Exim("smarthost", ours=False, smarthost="192.0.2.1").update()
    d = box.doctor("--domain", GOOD)
    way(d, GOOD, "remote_smtp_smarthost", "not by Danevirke")
    d.find("problem", "no router of Danevirke")
    d = Exim("local").update().doctor("--domain", GOOD)
    way(d, GOOD, None, "comes back")


def test_verdicts():
    """several domains, each with its own verdict"""
    names = {domain("good"): "dane", domain("insecure"): "opportunistic-tls"}
    d = Exim().update().doctor(*(x for n in names for x in ("--domain", n)))
    for name, verdict in names.items():
        way(d, name, "danevirke_smtp", verdict)


def test_changes_nothing():
    """it changes nothing (P08)"""
    box = Exim(split=False).update()

    def state():
        return {p: hashlib.sha256(open(p, "rb").read()).hexdigest()
                for d in (box.etc, box.dir + "/var")
                for p in glob.glob(d + "/**", recursive=True)
                if os.path.isfile(p)}
    before = state()
    box.doctor("--offline")
    same(state(), before)


def test_not_read():
    """files in conf.d are not read by an unsplit configuration"""
    d = Exim(split=False).update().doctor("--offline")
    d.find("problem", "is not read: Debian's configuration is unsplit",
           "dc_use_split_config='true'")


def test_own_configuration():
    """nor by an exim4.conf"""
    box = Exim().update()
    shutil.copy(box.dir + "/var/config.autogenerated",
                box.etc + "/exim4.conf")
    d = box.doctor("--offline")
    d.find("problem", "is not read: Exim has a configuration of its own")


def test_not_made():
    """a change without update-exim4.conf counts for nothing"""
    box = Exim().update()
    box.doctor("--offline").good()
    append(box.etc + "/conf.d/main/02_danevirke", "# changed\n")
    find = ("problem", "/conf.d/main/02_danevirke was changed after")
    box.doctor("--offline").find(
        *find, "update-exim4.conf && service exim4 restart")
    os.makedirs("/run/systemd/system")      # as where systemd has booted
    try:
        box.doctor("--offline").find(
            *find, "update-exim4.conf && systemctl restart exim4")
    finally:
        os.removedirs("/run/systemd/system")


def test_broken():
    """a configuration that Exim does not take"""
    box = Exim().update()
    append(box.dir + "/var/config.autogenerated", "\nnonsense\n")
    d = box.doctor("--offline")
    d.find("problem", "-bV: ")


def test_local():
    """an Exim that sends no mail"""
    d = Exim("local").update().doctor("--offline")
    d.find("problem", "sends no mail to other hosts",
           "dpkg-reconfigure exim4-config")


def unsplit(above, **how):
    """An unsplit one, with ours just above this router."""
    box = Exim(split=False, ours=False, **how)
    kind = "-smarthost" if how.get("kind") else ""
    edit(box.template, "^%s:$" % above,
         ".include %s/danevirke%s-routers\n%s:" % (EXAMPLES, kind, above))
    edit(box.template, "^begin transports$",
         "begin transports\n.include %s/danevirke%s-transports\n"
         % (EXAMPLES, kind))
    return box.update()


def test_before():
    """dnslookup_relay_to_domains stands in front, and takes mail (P08)"""
    d = unsplit("dnslookup", relay=GOOD).doctor("--offline")
    f = d.find("problem", "router dnslookup_relay_to_domains stands before",
               "danevirke-routers")
    has(f["where"], 'just above "dnslookup_relay_to_domains:"')


def test_before_smarthost():
    """so does the router of a smarthost, of a satellite (P08)"""
    for kind in ("smarthost", "satellite"):
        d = unsplit("real_local", kind=kind, smarthost="192.0.2.1").doctor(
            "--offline")
        f = d.find("problem", "router smarthost stands before",
                   "danevirke-smarthost-routers")
        has(f["where"], 'just above "smarthost:"')


def test_before_nobody():
    """it does not matter where no domain is relayed"""
    unsplit("dnslookup").doctor("--offline").good()


def test_before_moved():
    """with ours above it these domains go by Danevirke"""
    d = unsplit("dnslookup_relay_to_domains", relay=GOOD).doctor(
        "--domain", GOOD).good()
    way(d, GOOD, "danevirke_smtp", "dane")


def test_smarthost_direct():
    """a smarthost's Exim with the files of an internet site"""
    box = Exim("smarthost", split=False, ours=False, smarthost="a.alpha")
    edit(box.template, "^smarthost:$",
         ".include %s/danevirke-routers\nsmarthost:" % EXAMPLES)
    edit(box.template, "^begin transports$",
         "begin transports\n.include %s/danevirke-transports\n" % EXAMPLES)
    box.update().doctor("--offline").find(
        "problem", "router smarthost is for a relay host")


LOST = """DKIM_DOMAIN = lab.alpha
DKIM_SELECTOR = s1
DKIM_PRIVATE_KEY = /nowhere
REMOTE_SMTP_HELO_DATA = other.lab.alpha
REMOTE_SMTP_RETURN_PATH = back@lab.alpha
REMOTE_SMTP_INTERFACE = 127.0.0.1
"""


def test_lost():
    """what remote_smtp has and ours has not; the lines bring it back"""
    unsplit("dnslookup", macros=LOST).doctor("--offline").good()
    box = unsplit("dnslookup")
    edit(box.template, r"^remote_smtp:\n(.*\n)  driver = smtp$",
         r"remote_smtp:\n\1  driver = smtp\n"
         "  headers_add = X-Mine: yes\n  dscp = ef\n  dkim_hash = sha512")
    f = box.update().doctor("--offline").find(
        "problem", "loses what remote_smtp has set: dkim_hash, headers_add, "
        "dscp", "  headers_add = X-Mine: yes\n")
    has(f["where"], "behind the .include")
    edit(box.template, r"^\.include .*-transports$",
         lambda m: m.group() + "\n" + f["lines"])
    box.update().doctor("--offline").good()


def test_lost_split():
    """the split files keep it"""
    Exim(macros=LOST).update().doctor("--offline").good()


def test_passwords():
    """Debian's authenticators: before the judgement, and by a name that is
    never there (S08 P08)"""
    box = Exim("smarthost", smarthost="mail.lab.alpha::587").update()
    box.doctor("--offline").good()
    append(box.etc + "/passwd.client", "mail.lab.alpha:user:secret\n")
    d = box.doctor("--offline")
    for name in ("cram_md5", "plain", "login"):
        d.find("problem", "authenticator %s sends its password before" % name,
               "client_condition = DANEVIRKE_RELAY_JUDGED")
        d.find("problem", "authenticator %s looks for $host" % name,
               "{DANEVIRKE_RELAY_HOST} in the place of {$host}")
    assert "secret" not in d.out, "a password was printed"
    # the lines, and nothing is left to say
    path = box.etc + "/conf.d/auth/30_exim4-config_examples"
    edit(path, r"\{\$host\}nwildlsearch", "{DANEVIRKE_RELAY_HOST}nwildlsearch")
    edit(path, r"^(  public_name = (?:CRAM-MD5|PLAIN|LOGIN))$",
         r"\1\n  client_condition = DANEVIRKE_RELAY_JUDGED")
    d = box.update().doctor("--offline").good()
    same(d.verdict, "good", d.out)
    append(box.etc + "/conf.d/main/02_danevirke", "DANEVIRKE_RELAY_AUTH =\n")
    d = box.update().doctor("--offline").good()
    d.find("warning", "sends without a password", "DANEVIRKE_RELAY_AUTH = *")


def test_smarthost_way():
    """a smarthost's sentence is about the smarthost"""
    box = Exim("smarthost", smarthost=host("good") + "::25").update()
    d = box.doctor("--domain", "example.org")
    way(d, "example.org", "danevirke_smarthost", "dane")


def test_transport():
    """what danevirke-exim(7) forbids, option by option"""
    path = "/conf.d/transport/41_lab"
    for line, severity in (("hosts_pipe_connect = *", "problem"),
                           ("hosts_avoid_tls = *", "problem"),
                           ("fallback_hosts = 192.0.2.1", "problem"),
                           ("tls_resumption_hosts = *", "problem"),
                           ("tls_verify_hosts = *", "problem"),
                           ("hosts_require_dane = *", "warning")):
        box = Exim()
        append(box.etc + path, "  %s\n" % line)
        name = line.split()[0]
        box.update().doctor("--offline").find(
            severity, "danevirke_smtp has " + line, name + " = ")


def test_transport_lines():
    """no line of the example may be missing"""
    with open(EXAMPLES + "/danevirke-transports") as f:
        text = f.read()
    for name in ("multi_domain", "connection_max_messages",
                 "hosts_nopass_tls", "hosts_require_tls",
                 "tls_sni", "event_action", "authenticated_sender"):
        box = Exim()
        less, n = re.subn(r"^  %s =(?:.*\\\n)*.*\n" % name, "", text,
                          flags=re.M)
        same(n, 1, name)
        with open(box.dir + "/transports", "w") as f:
            f.write(less)
        edit(box.etc + "/conf.d/transport/40_danevirke",
             r"\S+/danevirke-transports", box.dir + "/transports")
        box.update().doctor("--offline").find(
            "problem", "danevirke_smtp has %s = " % name)


def test_library():
    """exim.so is not where it should be"""
    box = Exim()
    edit(box.etc + "/conf.d/main/000_lab", "^DANEVIRKE_LIB = .*",
         "DANEVIRKE_LIB = /nowhere/exim.so")
    box.update().doctor("--offline").find(
        "problem", "/nowhere/exim.so: No such file", "DANEVIRKE_LIB = /")


def conf(name, more="", rule=None):
    """The lab's danevirke.conf and more; with that rule alone."""
    with open(CONF) as f:
        text = f.read()
    if rule:
        text = re.sub(r"(?s)destinations = \(.*?\);", "", text)
        text += "destinations = ( %s );\n" % rule
    path = write(name, text + more)
    os.chmod(tool.DIR, 0o755)
    os.chmod(path, 0o644)
    return path


def test_conf_unreadable():
    """danevirke.conf and its directory, as Exim's user sees them"""
    box = Exim().update()
    path = conf("doctor.conf", "")
    box.doctor("--offline", config=path).good()
    os.chmod(path, 0o600)
    box.doctor("--offline", config=path).find(
        "problem", "cannot be read by Debian-exim", "chmod a+r " + path)
    os.chmod(path, 0o644)
    os.chmod(tool.DIR, 0o700)
    box.doctor("--offline", config=path).find(
        "problem", "the directory %s keeps it out" % tool.DIR,
        "chmod a+rx " + tool.DIR)
    os.chmod(tool.DIR, 0o755)


def test_conf_bad():
    """a file that is not valid"""
    d = Exim().update().doctor("--offline", config=conf(
        "bad.conf", "nosuch = 1;\n"))
    d.find("problem", "nosuch")


def test_until():
    """an exception that is over (P01)"""
    rule = '{ domain = "a.example"; level = "audit"; ' \
        'until = "%s"; reason = "test"; }'
    box = Exim().update()
    d = box.doctor("--offline", config=conf(
        "over.conf", rule=rule % "2020-01-31"))
    d.find("warning", "the exception for a.example was over on 2020-01-31")
    d = box.doctor("--offline", config=conf(
        "then.conf", rule=rule % "2199-01-31"))
    assert not [f for f in d.findings if "exception" in f["text"]], d.out


def test_user():
    """another user than Exim's"""
    box = Exim().update()
    d = box.doctor("--offline", config=conf(
        "user.conf", 'exim: { user = "mail"; };\n'))
    d.find("problem", "exim.user is mail", 'user = "Debian-exim"')


@contextlib.contextmanager
def on_disk(path):
    """No tmpfs is there, until the end."""
    disk = tempfile.mkdtemp(dir=tool.DIR)
    parts = ["%s/%s" % (disk, n) for n in ("lower", "upper", "work")]
    for part in parts:
        os.mkdir(part)
    shutil.copystat(path, parts[1])
    shutil.chown(parts[1], exim.USER, exim.USER)
    subprocess.run(["mount", "-t", "overlay", "-o",
                    "lowerdir=%s,upperdir=%s,workdir=%s" % tuple(parts),
                    "overlay", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)
        shutil.rmtree(disk)


def test_store():
    """no directory for the answers"""
    box = Exim().update()
    box.doctor("--offline").find("note", "answers are shared in")
    os.rename("/run/danevirke/" + exim.USER, "/run/danevirke/away")
    try:
        box.doctor("--offline").find("warning", "is not a directory of "
                                     + exim.USER, "systemd-tmpfiles")
    finally:
        os.rename("/run/danevirke/away", "/run/danevirke/" + exim.USER)
    with on_disk("/run/danevirke/" + exim.USER):
        box.doctor("--offline").find("warning", "is not on a tmpfs",
                                     "mount -t tmpfs -o mode=700,uid=")


def test_not_here():
    """a program that is not there, and one that is not Exim"""
    box = Exim().update()
    d = box.doctor("--offline", "--exim", "/nowhere/exim4")
    assert d.code == 2 or d.problems(), d.out
    box.doctor("--offline", "--exim", "/bin/true").find(
        "problem", "/bin/true -bV")


def test_options():
    """a domain that could be an option or a second address is refused"""
    for value in ("-bP", "a b", "", "x@y", '"'):
        p = tool.run("doctor", "--domain", value, "exim", module=False)
        same(p.code, 2, value)
        has(p.err, "want a mail domain")
    same(tool.run("doctor", "postfix", module=False).code, 2)
    same(tool.run("doctor", "exim", "exim", module=False).code, 2)
    same(tool.run("doctor", "--smtpd", "smtpd", module=False).code, 2)


# ---------------------------------------------------------------- OpenSMTPD

SMTPD = """table aliases { "root" = "nobody" }
table dane danevirke:%(conf)s
listen on 127.0.0.1
action "local" maildir alias <aliases>
action "outbound" relay domain <dane> helo mail.lab.alpha
match from any for domain "lab.alpha" action "local"
match from local for any action "outbound"
"""


def smtpd(text, *args, before=()):
    path = write("smtpd%d.conf" % next(NUMBERS), text % {"conf": CONF})
    os.chmod(path, 0o600)
    p = subprocess.run(
        [*before, TOOL, "doctor", "--json", "--smtpd", opensmtpd.SMTPD,
         "--smtpd-conf", path, *args, "opensmtpd"], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, cwd="/", env={})
    return Doctor(p)


def changed(old, new, *args):
    assert old in SMTPD, old
    return smtpd(SMTPD.replace(old, new), *(args or ("--offline",)))


OUR = 'action "outbound" relay domain <dane> helo mail.lab.alpha'
MATCH = 'match from local for any action "outbound"\n'


def test_smtpd():
    """OpenSMTPD: no problem, and a sentence"""
    d = smtpd(SMTPD, "--domain", GOOD).good()
    way(d, GOOD, "outbound", "dane")
    d.find("note", "%s is OpenSMTPD " % opensmtpd.SMTPD)
    d.find("note", "the loopback interface has relay.aliases")


def test_smtpd_no_network():
    """no loopback addresses, and a DNS that does not answer"""
    d = smtpd(SMTPD, "--domain", GOOD, before=("unshare", "-n"))
    d.find("problem", "the loopback interface does not have 127.",
           "ip link set lo up")
    assert any(p.startswith("DNS: ") for p in d.problems()), d.out
    way(d, GOOD, "outbound", "deferred")


def test_smtpd_missing():
    """without the table: the three lines, which are good"""
    old = 'listen on 127.0.0.1\n' \
        'action "relay" relay\nmatch from local for any action "relay"\n'
    d = smtpd(old, "--domain", GOOD)
    f = d.find("problem", "no table of Danevirke", "table dane danevirke:")
    way(d, GOOD, "relay", "not by Danevirke")
    lines = re.sub("danevirke:.*", "danevirke:" + CONF, f["lines"])
    lines = re.sub("helo .*", "helo mail.lab.alpha", lines)
    smtpd("listen on 127.0.0.1\n" + lines + "\n", "--offline").good()


def test_smtpd_old_in_front():
    """the old action's match still stands in front (P08)"""
    d = changed(MATCH, 'action "old" relay\n'
                'match from local for any action "old"\n' + MATCH,
                "--domain", GOOD)
    f = d.find("problem", 'of this machine to %s to action "old"' % GOOD,
               MATCH.strip())
    has(f["where"], "line 8, in its place")
    way(d, GOOD, "old", "not by Danevirke")


def test_smtpd_auth():
    """that of users who log in"""
    d = changed(MATCH, 'action "old" relay\n' + MATCH +
                'match auth from any for any action "old"\n')
    d.find("problem", "the mail of users who log in",
           'match auth from any for any action "outbound"')
    changed(MATCH, MATCH + 'match auth from any for any action "outbound"\n'
            ).good()


def test_smtpd_unused():
    """the table without an action, the action without a match"""
    d = smtpd("\n".join(row for row in SMTPD.splitlines()
                        if "outbound" not in row) + "\n", "--offline")
    d.find("problem", "no action relays by <dane>", "relay domain <dane>")
    d = changed(MATCH, "")
    d.find("problem", "no match gives the mail of this machine",
           MATCH.strip())


def test_smtpd_open():
    """a match that lets everybody send is found"""
    d = changed(MATCH, 'match from any for any action "outbound"\n')
    d.find("problem", "line 7 lets everybody send", MATCH.strip())


def test_smtpd_words():
    """tls and backup in the action, and an example's name"""
    for word, name in (("tls", "tls"), ("backup", "backup")):
        d = changed(OUR, OUR + " " + word)
        f = d.find("problem", 'action "outbound" has "%s"' % name, OUR)
        has(f["where"], "line 5")
    for name in ("mx.example", "mail.example.org", "localhost"):
        d = changed("helo mail.lab.alpha", "helo " + name)
        d.find("problem", "greets other hosts as " + name, "helo ")


def test_smtpd_invalid():
    """what smtpd -n says is said"""
    changed("listen on", "lissen on").find("problem", "smtpd -n: ")


def test_smtpd_backend():
    """smtpd does not find table-danevirke"""
    os.unlink(TABLE)
    try:
        smtpd(SMTPD, "--offline").find(
            "problem", 'smtpd -n: smtpd: table_create: backend "danevirke"',
            "ln -s %s %s/" % (opensmtpd.TABLE, opensmtpd.LIBEXEC))
    finally:
        os.symlink(opensmtpd.TABLE, TABLE)


def test_smtpd_reading():
    """lines that go on, macros, quotes, comments and files to include"""
    inc = write("outbound.inc", "name = \"mx.example\"\n" + OUR.replace(
        "mail.lab.alpha", "$name") + " # \"x\"\n")
    os.chmod(inc, 0o600)
    d = changed(OUR, 'include "%s"' % inc)
    d.find("problem", "greets other hosts as mx.example")
    changed(OUR, OUR.replace(" helo", " \\\n  helo")).good()


def test_smtpd_user():
    """another user than smtpd's"""
    path = conf("relay.conf", 'relay: { user = "mail"; };\n')
    d = smtpd(SMTPD.replace("%(conf)s", path), "--offline")
    d.find("problem", "relay.user is mail", 'user = "opensmtpd"')


# --------------------------------------------------------------- danevirked

DAEMON = 'danevirked: { user = "news"; socket = "/run/danevirked/map"; };\n'


def daemon(path, *args):
    p = subprocess.run(
        [TOOL, "doctor", "--json", "--config", path, *args, "danevirked"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        cwd="/", env={})
    return Doctor(p)


@contextlib.contextmanager
def danevirked(path):
    """It runs, until the end."""
    for name in ("/run/danevirked", "/run/danevirke/news"):
        os.makedirs(name, exist_ok=True)
        shutil.chown(name, "news", "news")
    os.chmod("/run/danevirke/news", 0o700)
    p = subprocess.Popen([PREFIX + "/sbin/danevirked", "-c", path], cwd="/",
                         stdin=subprocess.DEVNULL, env={})
    try:
        end = time.monotonic() + 20
        while not os.path.exists("/run/danevirked/map"):
            assert time.monotonic() < end and p.poll() is None
            time.sleep(0.1)
        yield
    finally:
        p.terminate()
        p.wait(20)
        with contextlib.suppress(FileNotFoundError):
            os.unlink("/run/danevirked/map")


def test_daemon():
    """danevirked: its map is asked, and a sentence"""
    path = conf("daemon.conf", DAEMON)
    daemon(path, "--offline").find(
        "problem", "danevirked does not answer at /run/danevirked/map",
        "what starts danevirked on this machine")
    with danevirked(path):
        d = daemon(path, "--domain", GOOD, "--domain", "a..b").good()
        m, bad = d.mail
        assert re.fullmatch(r"danevirked at \[127\.64\.\d+\.\d+\]:10025",
                            m["by"]), d.out
        same(m["verdict"], "dane", d.out)
        same((bad["by"], bad["verdict"]), (None, "comes back"), d.out)
        has(bad["reason"], "PERM")
        d.find("note", "was not looked at")
        d.find("note", "answers are shared in /run/danevirke/news")
        d.find("note", "the loopback interface has relay.aliases")


LIGHT = "/var/cache/danevirke-exim/usr/sbin/exim4"


def test_light():
    """Debian's light Exim: what it lacks, and the way by danevirked"""
    d = Exim(ours=False).update().doctor("--offline", "--exim", LIGHT)
    d.find("problem", "this Exim cannot use exim.so",
           "apt install exim4-daemon-heavy")
    d.find("problem", "no router of Danevirke",
           "/share/danevirke/exim/danevirked-routers")
    d = Exim().update().doctor("--offline", "--exim", LIGHT)
    d.find("problem", "-bV: ")
    box = Exim(split=False, ours=False).update()
    d = box.doctor("--offline", "--exim", LIGHT)
    write_lines(box, d)
    box.update()
    path = conf("light.conf", DAEMON)
    d = box.doctor("--exim", LIGHT, "--domain", GOOD, config=path).good()
    way(d, GOOD, None, "waits")     # nobody is at the map's place
    with danevirked(path):
        d = box.doctor("--exim", LIGHT, "--domain", GOOD, config=path).good()
        way(d, GOOD, "danevirked_smtp", "dane")


def test_daemon_users():
    """a mail server that it does not serve, a user that is not there"""
    d = daemon(conf("users.conf", DAEMON
                    + 'relay: { user = [ "postfix" ]; };\n'), "--offline")
    d.find("warning", "Debian-exim is a user here, and not in relay.user",
           'user = [ "Debian-exim" ]')
    d = daemon(conf("nobody.conf", DAEMON.replace("news", "nosuch")),
               "--offline")
    d.find("problem", "there is no user nosuch")


if __name__ == "__main__":
    sys.exit(tool.main(prepare=prepare))
