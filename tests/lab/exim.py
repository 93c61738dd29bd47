# SPDX-License-Identifier: ISC
"""Debian's Exim as the lab's mail server.

One configuration for all scenarios, bound over /etc/exim4 so that Exim keeps
its privileges as in real life; each message is one `exim -odf`.  Behind the
routers under test stands one that sends everything, unprotected, to the
scenario's first host: a router or transport that lets go of a message by
mistake shows as a message that arrived.
"""

import os
import pwd
import re
import shutil
import subprocess
import time

import mta
import scenario
from world import PREFIX

EXIM = "/usr/sbin/exim4"
USER = "Debian-exim"
CONFIG = "/etc/exim4/exim4.conf"
EXAMPLES = PREFIX + "/share/danevirke/exim"
TIMEOUT = 60                    # seconds for one message

MAIN = """
exim_user = %(user)s
exim_group = %(user)s
spool_directory = %(dir)s/spool
log_file_path = %(dir)s/log/%%slog
primary_hostname = lab.alpha
log_selector = +outgoing_port +tls_sni +deliver_time
acl_not_smtp = accept
allow_domain_literals = true
keep_environment =
add_environment =
timezone = UTC
host_lookup =
syslog_timestamp = no
deliver_queue_load_max = 1000
smtp_active_hostname = lab.alpha
"""

# What the administrator writes who uses examples/exim; here profile and relay
# host depend on the domain, because one configuration serves all scenarios.
MACROS = """
RELAY_HOP = ${lookup{$domain}lsearch{%(dir)s/relay}{$value}fail}
DANEVIRKE_LIB = %(lib)s
DANEVIRKE_PROFILE = ${lookup{$domain}lsearch{%(dir)s/profile}{$value}{default}}
DANEVIRKE_DOMAINS = ! lsearch;%(dir)s/relay
DANEVIRKE_RELAY_HOST = ${extract{1}{:}{RELAY_HOP}}
DANEVIRKE_RELAY_PORT = ${extract{2}{:}{RELAY_HOP}}
"""

SHORT = """  connect_timeout = 3s
  command_timeout = 4s
  data_timeout = 10s
  final_timeout = 10s
"""

ROUTERS = """
.include %(examples)s/danevirke-routers

DANEVIRKE_RELAY_NAME = relay_smtps
DANEVIRKE_RELAY_DOMAINS = lsearch;%(dir)s/smtps
.include %(examples)s/danevirke-smarthost-routers

DANEVIRKE_RELAY_NAME == relay
DANEVIRKE_RELAY_DOMAINS == lsearch;%(dir)s/relay
.include %(examples)s/danevirke-smarthost-routers

plain:
  driver = manualroute
  domains = ! lsearch;%(dir)s/relay
  transport = plain
  route_data = ${lookup{$domain}lsearch{%(dir)s/plain}{<;$value}fail}
"""

# The short timeouts belong to danevirke_smtp, the last one in the file.
TRANSPORTS = """
.include %(examples)s/danevirke-transports
%(short)s
plain:
  driver = smtp
  hosts_try_dane =
  tls_verify_certificates =
%(short)s
DANEVIRKE_RELAY_AUTH = ${if match_domain{$domain}{lsearch;%(dir)s/auth}{*}}
.include %(examples)s/danevirke-smarthost-transports
%(short)s
DANEVIRKE_RELAY_NAME == relay_smtps
DANEVIRKE_RELAY_PROTOCOL == smtps
.include %(examples)s/danevirke-smarthost-transports
%(short)s
"""

AUTHENTICATORS = """
plain:
  driver = plaintext
  public_name = PLAIN
  client_condition = DANEVIRKE_RELAY_JUDGED
  client_send = ^user^secret
"""


class Driver(mta.Driver):
    name = like = "exim"
    patience = TIMEOUT

    def __init__(self, world):
        super().__init__(world)
        self.log = self.dir + "/log/mainlog"

    # -------------------------------------------------------- configuration

    def tables(self):
        """The lookup files that the configuration uses, by domain."""
        rows = {t: [] for t in ("profile", "relay", "smtps", "auth", "plain")}
        for s in self.world.scenarios.values():
            domain = s.domain().lower()
            rows["profile"].append((domain, s.profile))
            if s.relay:
                host, port, flags = s.relay
                rows["relay"].append((domain, "%s:%d" % (
                    s.name(host).rstrip("."), port)))
                for flag in flags:
                    rows[flag].append((domain, ""))
            for h in s.hosts.values():
                if h.addresses and "down" not in h.flags:
                    rows["plain"].append((domain, ";".join(
                        "[%s]:%d" % (a, p) for a in h.addresses
                        for p in h.ports())))
                    break
        for table, pairs in rows.items():
            with open("%s/%s" % (self.dir, table), "w") as f:
                f.write("".join("%s: %s\n" % pair for pair in pairs))

    def config(self):
        """exim4.conf; tests/exim changes the parts it wants to break."""
        given = {"user": USER, "dir": self.dir, "short": SHORT,
                 "lib": PREFIX + "/lib/danevirke/exim.so",
                 "examples": EXAMPLES}
        return "\n".join([MAIN % given, MACROS % given,
                          "begin routers", ROUTERS % given,
                          "begin transports", TRANSPORTS % given,
                          "begin authenticators", AUTHENTICATORS % given,
                          "begin retry\n* * F,1h,15m"]) + "\n"

    def setup(self):
        user = pwd.getpwnam(USER)
        for d in ("spool", "log"):
            os.makedirs(self.dir + "/" + d)
            os.chown(self.dir + "/" + d, user.pw_uid, user.pw_gid)
        self.tables()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "lab",
                        "/etc/exim4"], check=True)
        with open(CONFIG, "w") as f:
            f.write(self.config())
        shutil.copy(CONFIG, self.dir + "/exim4.conf")
        r = subprocess.run([EXIM, "-bV"], capture_output=True, text=True)
        if r.returncode:
            raise RuntimeError("exim4 -bV: %s%s" % (r.stdout, r.stderr))

    def fill_store(self):
        """What an earlier process of Exim's user would have left behind."""
        user = pwd.getpwnam(USER)
        os.makedirs("/run/danevirke/" + USER, exist_ok=True)
        os.chmod("/run/danevirke", 0o755)
        os.chown("/run/danevirke/" + USER, user.pw_uid, user.pw_gid)
        os.chmod("/run/danevirke/" + USER, 0o700)
        names = sorted({s.domain() for s in self.world.scenarios.values()
                        if not s.domain().startswith("[")})
        subprocess.run(
            ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups",
             PREFIX + "/bin/danevirke", "route", *names],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)

    def teardown(self):
        subprocess.run(["umount", "/etc/exim4"], check=False)

    # -------------------------------------------------------------- sending

    def inject(self, text, recipients, options=("-odf",)):
        """One call of Exim; returns its exit status and what it said."""
        r = subprocess.run(
            [EXIM, *options, "-oi", "-f", mta.SENDER, *recipients],
            input=text, capture_output=True, text=True,
            timeout=self.patience, cwd="/")
        return r.returncode, r.stdout + r.stderr

    def lines(self, ident):
        """The main log's lines about the message with this Message-ID."""
        with open(self.log, errors="replace") as f:
            rows = f.read().splitlines()
        exim_id = None
        for row in rows:
            if " <= " in row and " id=%s@lab" % ident in row:
                exim_id = row.split()[2]
        return [r for r in rows if exim_id and " %s " % exim_id in r]

    def outcome(self, ident):
        lines = self.lines(ident)
        result = "none"
        for row in lines:
            mark = re.search(r"\S+ \S+ \S+ (=>|->|==|\*\*) ", row)
            if mark:
                result = {"=>": "delivered", "->": "delivered",
                          "==": "deferred", "**": "bounced"}[mark.group(1)]
        return scenario.Outcome(result, scenario.verdicts(lines), lines)

    def send(self, s):
        try:
            status, said = self.inject(mta.message(s), [mta.recipient(s)])
        except subprocess.TimeoutExpired:
            status, said = -1, "exim took more than %d s" % (
                self.patience)
        # exim -odf may return just before the last line is written
        for _ in range(20):
            outcome = self.outcome(s.id)
            if outcome.result != "none":
                break
            time.sleep(0.1)
        if status or said:
            outcome.lines.append("exit %d: %s" % (status, said.strip()))
        return outcome
