# SPDX-License-Identifier: ISC
"""The example's files below a directory of the test's, as an administrator
would have put them below /etc and /var: same texts, other names."""

import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = os.path.realpath(HERE + "/../../examples/receiving")
DOMAIN = "recv.parent.alpha"
HOST = "mx." + DOMAIN
ADDRESS = "198.18.200.25"
# the name server is a machine of its own, with two addresses
FIRST, NS, OUTSIDE = "198.18.53.1", "198.18.53.2", "198.18.53.9"
SCRIPTS = ("make-certificate", "install-certificate", "sign-zone",
           "danevirke-check", "certbot-deploy-hook", "acme.sh-hook")


def example(name):
    with open(os.path.join(EXAMPLE, name)) as f:
        return f.read()


class Result:
    def __init__(self, p):
        self.code, self.out, self.err = p.returncode, p.stdout, p.stderr


class Site:
    def __init__(self, work):
        self.dir = work
        self.pem = self.path("etc/mx.pem")
        self.state = self.path("lib/mx.state")
        self.zone = self.path("etc/zone")
        self.signed = self.path("lib/zone.signed")
        self.mail = self.path("mail")
        self.conf = self.path("etc/receiving.conf")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def tool(self, danevirke, module):
        """Makes the tree; danevirke(1) is called with the build's module."""
        for d in ("etc", "lib"):
            os.makedirs(self.path(d), exist_ok=True)
        self.write("danevirke", '#!/bin/sh\ncommand=$1\nshift\nexec "%s" '
                   '"$command" --module "%s" "$@"\n' % (danevirke, module),
                   0o755)
        # what the mailer would have sent is kept
        self.write("sendmail", '#!/bin/sh\necho "$*" >"%s.args"\n'
                   'exec cat >"%s"\n' % (self.mail, self.mail), 0o755)
        self.configure()

    def configure(self, **changes):
        """receiving.conf, each of its settings replaced by name."""
        values = dict(
            DOMAIN=DOMAIN, HOST=HOST, PORT="25", PEM=self.pem,
            OWNER="root:Debian-exim", RELOAD=":",
            STATE=self.state, ZONE=self.zone, KEYS=self.path("etc/keys"),
            SIGNED=self.signed, ZONE_RELOAD=":", SIGNED_DAYS="30", WARN_DAYS="7",
            MAILTO="postmaster@elsewhere.example",
            SENDMAIL=self.path("sendmail"),
            DANEVIRKE=self.path("danevirke"))
        values.update(changes)
        text = example("receiving.conf")
        for k, v in values.items():
            text, n = re.subn(r"(?m)^%s=.*$" % k, lambda _: "%s='%s'" % (k, v),
                              text)
            assert n == 1, "%s: %d times in receiving.conf" % (k, n)
        left = set(re.findall(r"(?m)^([A-Z_]+)=", text)) - set(values)
        assert not left, left
        self.write("etc/receiving.conf", text)

    def run(self, name, *args, env=(), shell=None):
        """A script of the example, as it stands in the tree."""
        cmd = [os.path.join(EXAMPLE, name)] + list(args)
        if shell:
            cmd = ["sh", "-euc", shell]
        environment = {"PATH": os.environ["PATH"], "RECEIVING_CONF": self.conf,
                       "INSTALL_CERTIFICATE": EXAMPLE + "/install-certificate"}
        environment.update(env)
        return Result(subprocess.run(
            cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=120, cwd="/",
            env=environment))

    def zone_text(self, *lines, ttl=3600):
        """zone.example with this site's names, and lines behind it."""
        text = example("zone.example")
        for old, new in (("example.org.", DOMAIN + "."),
                         ("192.0.2.25", ADDRESS), ("192.0.2.53", NS),
                         ("$TTL 3600", "$TTL %d" % ttl)):
            assert old in text, old
            text = text.replace(old, new)
        self.write("etc/zone", text + "".join(x + "\n" for x in lines))

    def tlsa(self, pem=None, ttl=3600, usage="3"):
        """The zone lines, made as the README says."""
        r = subprocess.run(
            [self.path("danevirke"), "tlsa", "--cert", pem or self.pem,
             "--host", HOST, "--ttl", str(ttl), "--usage", usage], text=True,
            stdout=subprocess.PIPE, check=True)
        return r.stdout.splitlines()

    def read(self, path):
        with open(path) as f:
            return f.read()
