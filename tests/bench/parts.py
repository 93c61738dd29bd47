# SPDX-License-Identifier: ISC
"""The parts of tests/bench/run; each prints a table, or raises."""

import os
import pwd
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import certs
import count
import delay
import exim
import mail
import many
import smtpd
import sts
import world

USER = "nobody"
STORE = "/run/danevirke/"
RESOLVER = "198.18.255.53"      # unbound, inside the namespace only


class Bench:
    def __init__(self, where, build, short, counts=None, renew=False):
        self.counts, self.renew = counts or count.COUNTS, renew
        self.where, self.build, self.short = where, build, short
        self.world = world.attach()
        self.module = build + "/.libs/danevirke.so"
        self.conf = os.environ["DV_LAB_CONF"]
        self.everyone = [s.domain() for s in self.world.scenarios.values()
                         if s.id.startswith("bench") and s.id[5:].isdigit()]
        self.domains = self.everyone[:50]
        self.resolver = self.smtpd = None
        # what other users have to reach
        for d in (where, build, build + "/.libs"):
            os.chmod(d, 0o755)

    def program(self, name):
        path = "%s/%s" % (self.where, name)
        return path if os.path.exists(path) else None

    def rounds(self, many, few):
        return few if self.short else many

    def run(self, *args, user=None):
        """The number that a program prints."""
        if user:
            args = ("setpriv", "--reuid", user, "--regid", "nogroup",
                    "--clear-groups") + args
        r = subprocess.run(args, capture_output=True, text=True, timeout=300)
        if r.returncode or not r.stdout.strip():
            raise RuntimeError("%s: %s" % (" ".join(args[:6]),
                                           r.stderr.strip()[-300:]))
        value = float(r.stdout.split()[-1])
        if value <= 0:
            raise RuntimeError("%s: %s" % (args[0], r.stdout))
        return value

    def median(self, n, *args, user=None):
        return statistics.median(self.run(*args, user=user)
                                 for _ in range(n))

    # ------------------------------------------------------ store, resolver

    def store(self, user=USER):
        """An empty store for this user."""
        if not os.path.ismount("/run/danevirke"):
            os.makedirs("/run/danevirke", exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "bench",
                            "/run/danevirke"], check=True)
        path = STORE + user
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o700)
        pw = pwd.getpwnam(user)
        os.chown(path, pw.pw_uid, pw.pw_gid)
        for name in os.listdir(path):
            os.unlink("%s/%s" % (path, name))
        return path

    def unbound(self):
        """A validating resolver for the peers that believe AD; None: there is
        no unbound."""
        binary = self.where + "/unbound/usr/sbin/unbound"
        if self.resolver or not os.path.exists(binary):
            return RESOLVER if self.resolver else None
        subprocess.run(["ip", "addr", "replace", RESOLVER, "dev", "lo"],
                       check=False)
        conf = self.where + "/unbound.conf"
        with open(conf, "w") as f:
            f.write("server:\n interface: %s\n do-daemonize: no\n"
                    " username: \"\"\n chroot: \"\"\n pidfile: \"\"\n"
                    " directory: \"/\"\n"
                    " use-syslog: no\n access-control: 0.0.0.0/0 allow\n"
                    " do-not-query-localhost: no\n trust-anchor-file: %s\n"
                    " root-hints: %s\n num-threads: 1\n"
                    "remote-control:\n control-enable: no\n" % (
                        RESOLVER, os.environ["DV_LAB_ANCHOR"],
                        os.environ["DV_LAB_HINTS"]))
        self.resolver = subprocess.Popen(
            [binary, "-c", conf], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        for _ in range(100):
            time.sleep(0.05)
            try:
                socket.create_connection((RESOLVER, 53), 1).close()
                break
            except OSError:
                pass
        with open(self.where + "/resolv.conf", "w") as f:
            f.write("nameserver %s\noptions edns0 trust-ad\n" % RESOLVER)
        subprocess.run(["mount", "--bind", self.where + "/resolv.conf",
                        "/etc/resolv.conf"], check=True)
        return RESOLVER

    def fresh(self):
        """unbound(), with an empty cache."""
        self.end()
        return self.unbound()

    def end(self):
        if self.resolver:
            self.resolver.terminate()
            self.resolver.wait(5)
            self.resolver = None


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(x) for x in row) + " |")


def us(value):
    return "%.2f us" % value if value < 100 else "%.0f us" % value


def times_as(ratio):
    return ("%.0f x" if ratio >= 10 else "%.1f x") % ratio


# ------------------------------------------------------------------- verify

def three(kind, name):
    """Leaf, intermediate and root, all of one kind of key."""
    root = certs.issue("bench root", ca=True, kind=kind)
    middle = certs.issue("bench int", root, ca=True, path=0, kind=kind)
    leaf = certs.issue(name, middle, names=[name], kind=kind)
    return certs.Chain(leaf, [middle, root], [leaf, middle, root])


CHAINS = (("3 1 1, EC", "ec", "3 1 1", "leaf"),
          ("3 1 1, RSA", "rsa", "3 1 1", "leaf"),
          ("2 1 1 of the intermediate, EC", "ec", "2 1 1", "int"),
          ("2 1 1 of the intermediate, RSA", "rsa", "2 1 1", "int"),
          ("2 1 1 of the root, EC", "ec", "2 1 1", "root"),
          ("2 1 1 of the root, RSA", "rsa", "2 1 1", "root"))


def chain_args(b, kind, record, part):
    """(record, files) for tests/bench/verify, of a chain of this kind."""
    chain = three(kind, "mx.example.org")
    files = []
    for i, c in enumerate(chain.sent):
        files.append("%s/cert%d.der" % (b.where, i))
        with open(files[-1], "wb") as f:
            f.write(c.der)
    data = chain.part(part).association(1, 1).hex()
    return "%s %s" % (record, data), files


def verify(b):
    """One verification, certificates as DER in, verdict out."""
    rows = []
    for label, kind, record, part in CHAINS:
        name = "mx.example.org"
        text, files = chain_args(b, kind, record, part)
        times = b.rounds(20000 if record[0] == "3" else 200, 20)
        args = [text, name, str(times), *files]
        ours = b.run(b.program("verify"), b.module, *args)
        row = [label, us(ours)]
        for peer in ("peer_openssl", "peer_gnutls"):
            if b.program(peer) is None:
                row.append("left out")
                continue
            try:
                t = b.run(b.program(peer), args[0], name,
                          str(max(times // 50, 5)), *files)
                row.append("%s (%s)" % (us(t), times_as(t / ours)))
            except RuntimeError as e:
                row.append("does not verify" if "not verified" in str(e)
                           else "fails")
        rows.append(row)
    table(["verify", "Danevirke", "libssl DANE", "libgnutls-dane"], rows)


# ---------------------------------------------------------------- decisions

def decide(b):
    """A decision in a fresh process, libraries mapped."""
    n = b.rounds(101, 5)
    path = b.store()
    prog = b.program("decide")
    domain = b.domains[0]
    host = "mx1." + domain
    args = [prog, "module", b.module, b.conf, domain]

    empty = b.median(n, prog, "nothing", user=USER)
    b.run(*args, user=USER)
    if not os.path.getsize(path + "/answers.1"):
        raise RuntimeError("the store was not filled")
    hit = b.median(n, *args, user=USER)

    def miss():
        os.truncate(path + "/answers.1", 0)
        return b.run(*args, user=USER)
    missed = statistics.median(miss() for _ in range(b.rounds(31, 3)))

    def second():
        miss()
        return b.run(*args[:-1], b.domains[1], user=USER)
    begun = statistics.median(second() for _ in range(b.rounds(31, 3)))
    block = b.median(b.rounds(31, 3), prog, "ub", os.environ["DV_LAB_HINTS"],
                     os.environ["DV_LAB_ANCHOR"], domain, host)
    out = [("an empty process", empty), ("Danevirke, from the store", hit),
           ("Danevirke, from DNS (recursion)", missed),
           ("the same, when another process has been through the TLD", begun),
           ("blocking ub_resolve(), 4 queries, validated", block)]
    if b.unbound():
        out.append(("stub resolver that believes AD, 3 queries, warm cache",
                    b.median(n, prog, "stub", RESOLVER, domain, host)))
        fwd = b.where + "/forward.conf"
        with open(b.conf) as f, open(fwd, "w") as g:
            text = f.read()
            g.write(text.replace("resolver: {", 'resolver: {\n\tforward = '
                                 '[ "%s" ];' % RESOLVER, 1))
        args[3] = fwd
        os.chmod(fwd, 0o644)
        b.run(*args, user=USER)
        out.append(("Danevirke, from DNS (that resolver as forwarder)",
                    statistics.median(miss() for _ in
                                      range(b.rounds(31, 3)))))
    else:
        print("unbound is not there: stub and forwarder are left out.\n")
    table(["decision", "time", "of a store hit"],
          [[w, us(t), "%.2f" % (t / hit)] for w, t in out])


def far(b):
    """The same, 20 ms from the servers of root, TLD and domain."""
    with delay.distance(b.world.dir, b.where, 20):
        decide(b)


def throughput(b):
    """Decisions of fresh processes a second, from the store."""
    prog = b.program("decide")
    b.store()
    args = ["setpriv", "--reuid", USER, "--regid", "nogroup", "--clear-groups",
            prog, "module", b.module, b.conf, b.domains[0]]
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)
    n = b.rounds(200, 8)

    def one(_):
        return subprocess.run(args, stdout=subprocess.DEVNULL).returncode
    rows, first = [], None
    for jobs in (1, 2, 4, 8):
        began = time.monotonic()
        with ThreadPoolExecutor(jobs) as pool:
            if any(pool.map(one, range(n))):
                raise RuntimeError("a decision failed")
        rate = n / (time.monotonic() - began)
        first = first or rate
        rows.append([jobs, "%.0f" % rate, "%.1f" % (rate / first)])
    table(["processes at once", "decisions a second, starting the process "
           "included", "of one"], rows)


def start(b):
    """What a process of Exim pays before its first answer."""
    path = b.store()
    empty = b.where + "/empty.so"
    subprocess.run(["cc", "-shared", "-x", "c", "/dev/null", "-o", empty],
                   check=True)
    said = subprocess.run(["ldd", "/usr/sbin/exim4"], text=True, check=True,
                          stdout=subprocess.PIPE).stdout
    libs = [x.split("=> ")[1].split()[0] for x in said.splitlines()
            if "=> /" in x]
    b.run(b.program("decide"), "module", b.module, b.conf, b.domains[0],
          user=USER)
    if not os.path.getsize(path + "/answers.1"):
        raise RuntimeError("the store was not filled")

    def steps(first):
        r = subprocess.run(
            ["setpriv", "--reuid", USER, "--regid", "nogroup",
             "--clear-groups", b.program("start"), first, b.module, b.conf,
             b.domains[0], str(b.rounds(500, 5)), *libs],
            stdout=subprocess.PIPE, text=True)
        rows = [x.split() for x in r.stdout.splitlines()]
        if r.returncode or len(rows) != 6:
            raise RuntimeError("start: " + first)
        return rows
    bare = steps(empty)
    ours = steps(os.path.dirname(b.module) + "/exim.so")
    labels = ["exim.so", "danevirke.so, and libconfig", "danevirke.conf",
              "a child that has the answer from the store",
              "the answer from the store", "the answer that was left"]
    table(["after a fork", "time", "page faults", "own memory"],
          [[label, us(float(t)), faults, kib + " KiB"]
           for label, (t, faults, kib) in
           [("an empty library in the place of exim.so", bare[0]),
            *zip(labels, ours)]])


def store(b):
    """The store by size: one lookup, and what is kept."""
    rows = []
    path = b.store()
    for n in (10, 10000) + (() if b.short else (1000000,)):
        b.store()
        out = subprocess.run(
            ["setpriv", "--reuid", USER, "--regid", "nogroup",
             "--clear-groups", b.build + "/tests/bench/fill", str(n)],
            capture_output=True, text=True)
        if out.returncode:
            raise RuntimeError(out.stderr)
        kept, get, put = out.stdout.split()
        blocks = os.stat(path + "/answers.1").st_blocks * 512
        rows.append([n, n * 4, kept, us(float(get)), us(float(put)),
                     "%.1f MiB" % (blocks / 2 ** 20)])
    table(["domains", "answers put", "kept", "lookup", "put", "memory"], rows)


# --------------------------------------------------------------------- Exim

MAIN = """
exim_user = Debian-exim
exim_group = Debian-exim
primary_hostname = bench.lab.alpha
spool_directory = %(dir)s/spool
log_file_path = %(dir)s/log/%%slog
keep_environment =
queue_run_max = 1
remote_max_parallel = 4
domainlist local_domains =
acl_not_smtp = accept
dns_dnssec_ok = 1
DANEVIRKE_LIB = %(lib)s
begin routers
%(routers)s
begin transports
%(transports)s
begin retry
* * F,1h,15m
"""
OTHER = """remote:
  driver = dnslookup
  transport = smtp
  dnssec_request_domains = *
"""
SMTP = """smtp:
  driver = smtp
  multi_domain = false
  tls_verify_certificates =
"""


class Exim:
    """A configuration of its own; in this namespace one file serves all."""

    def __init__(self, b, name, routers, transports):
        self.dir = "%s/%s" % (b.where, name)
        pw = pwd.getpwnam("Debian-exim")
        for sub in ("spool", "log"):
            os.makedirs("%s/%s" % (self.dir, sub))
            os.chown("%s/%s" % (self.dir, sub), pw.pw_uid, pw.pw_gid)
        self.text = MAIN % {
            "dir": self.dir, "routers": routers, "transports": transports,
            "lib": exim.PREFIX + "/lib/danevirke/exim.so"}

    def call(self, *args, text=None):
        r = subprocess.run(["/usr/sbin/exim4", *args], input=text, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=600)
        if r.returncode:
            raise RuntimeError("exim: " + r.stdout[-500:])

    def send(self, domains, queue):
        """Seconds and CPU seconds for one message to each."""
        with open("/etc/exim4/exim4.conf", "w") as f:
            f.write(self.text)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        for d in domains:
            self.call("-odq" if queue else "-odf", "-f", "a@lab.alpha",
                      "b@" + d, text="Subject: bench\n\nhello\n")
        if queue:
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.monotonic()
            self.call("-q")
        took = time.monotonic() - began
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        return took, (now.ru_utime + now.ru_stime
                      - used.ru_utime - used.ru_stime)

    def delivered(self):
        with open(self.dir + "/log/mainlog") as f:
            return sum(" => b@" in x for x in f)


def exim_mail(b):
    """Exim: one message after the other, its SMTP servers in Python."""
    subprocess.run(["mount", "-t", "tmpfs", "bench", "/etc/exim4"],
                   check=True)
    examples = exim.EXAMPLES
    kinds = [("Exim with Danevirke", Exim(
        b, "ours", ".include %s/danevirke-routers" % examples,
        ".include %s/danevirke-transports" % examples))]
    resolver = b.unbound()
    if resolver:
        kinds += [
            ("Exim, plain TLS", Exim(b, "plain", OTHER,
                                     SMTP + "  hosts_try_dane =\n")),
            ("Exim's own DANE", Exim(b, "own", OTHER,
                                     SMTP + "  hosts_try_dane = *\n"))]
    else:
        print("unbound is not there: the peers are left out.\n")
    rounds = b.rounds(4, 1)
    n = b.rounds(50, 4)
    got = {}
    for store_there in (True, False):
        if store_there:
            b.store("Debian-exim")
        else:
            os.chmod(STORE + "Debian-exim", 0o000)
            kinds = kinds[:1]
        for r in range(rounds):
            # orders alternated
            for label, mta in kinds if r % 2 else kinds[::-1]:
                if not store_there:
                    label += ", no store"
                for many in (False, True):
                    domains = b.domains[:n] if many else [b.domains[0]] * n
                    for queue in (False, True):
                        got.setdefault((many, queue, label), []).append(
                            mta.send(domains, queue))
    for label, mta in kinds:
        want = rounds * 4 * n * 2
        if mta.delivered() != want:
            raise RuntimeError("%s: %d of %d delivered" % (
                label, mta.delivered(), want))
    rows = []
    for (many, queue, label), runs in sorted(got.items()):
        took = statistics.median(t for t, _ in runs)
        cpu = statistics.median(c for _, c in runs)
        rows.append(["50 domains" if many else "1 domain",
                     "queue run" if queue else "immediate", label,
                     "%.0f" % (n / took), "%.1f ms" % (1000 * cpu / n)])
    table(["to", "how", "who", "messages a second", "CPU a message"], rows)
    os.chmod(STORE + "Debian-exim", 0o700)


# -------------------------------------------------------- check, OpenSMTPD

def check(b):
    """A test of 50 domains."""
    tool = exim.PREFIX + "/bin/danevirke"
    domains = b.domains[:b.rounds(50, 5)]

    def timed(calls, env=None, want=""):
        """Milliseconds for a domain, of the clock and of our CPUs."""
        def work():
            for args in calls:
                r = subprocess.run(args, stdout=subprocess.PIPE, text=True,
                                   stderr=subprocess.STDOUT, env=env,
                                   timeout=300)
                if r.returncode or want not in r.stdout:
                    raise RuntimeError("%s: %s" % (args[0], r.stdout[-300:]))
        took, cpu = many.all_cpu(work)
        return [1000 * took / len(domains), 1000 * cpu / len(domains)]
    rows = [["danevirke check, all at once, five connections an address",
             *timed([[tool, "check", *domains]])],
            ["danevirke check, a process each",
             *timed([[tool, "check", d] for d in domains])],
            ["danevirke check --dns-only, all at once",
             *timed([[tool, "check", "--dns-only", *domains]])]]
    finger = b.where + "/postfix/usr/sbin/posttls-finger"
    if b.unbound() and os.path.exists(finger):
        conf = b.where + "/postfix/etc/postfix"
        with open(conf + "/main.cf", "w") as f:
            f.write("mail_owner = mail\nsetgid_group = daemon\n"
                    "default_privs = nobody\nsmtp_dns_support_level = dnssec\n"
                    "compatibility_level = 3.6\n")
        env = dict(os.environ, MAIL_CONFIG=conf,
                   LD_LIBRARY_PATH=b.where + "/postfix/usr/lib/postfix")
        rows.append(["posttls-finger -l dane, a process and connection each",
                     *timed([[finger, "-c", "-l", "dane", d]
                             for d in domains], env,
                            "Verified TLS connection")])
    else:
        print("posttls-finger (postfix) or unbound is not there: left out.\n")
    # it asks 198.18.255.53, and validates with an anchor at a fixed path
    danetool = shutil.which("danetool")
    anchor = "/usr/share/dns/root.key"
    if b.unbound() and danetool and os.path.exists(anchor):
        subprocess.run(["mount", "--bind", os.environ["DV_LAB_ANCHOR"],
                        anchor], check=True)
        rows.append(["danetool --check of the host, likewise",
                     *timed([[danetool, "--check", "mx1." + d, "--port", "25",
                              "--starttls-proto=smtp", "--local-dns"]
                             for d in domains], None, "Certificate matches")])
        subprocess.run(["umount", anchor], check=True)
    else:
        print("danetool (gnutls-bin) or unbound is not there: left out.\n")
    table(["check", "for a domain", "CPU"],
          [[w, "%.1f ms" % t, "%.1f ms" % c] for w, t, c in rows])


def counts(b):
    """Instructions of one piece of work, which do not depend on the load."""
    kinds = {}
    for label, kind, record, part in CHAINS:
        # bench.h does it so often
        rounds = 21 * (times := 50 if record[0] == "3" else 1)

        def chain(kind=kind, record=record, part=part, times=times, n=rounds):
            text, files = chain_args(b, kind, record, part)
            return [x // n for x in count.count(
                b, "verify_once", b.program("verify"), b.module, text,
                "mx.example.org", str(times), *files)]
        kinds["verify " + label] = chain
    path = b.store()

    def decision(how, times):
        return [x // times for x in count.count(
            b, "decide_once", b.program("decide"), how, b.module, b.conf,
            b.domains[0], str(times), user=USER)]

    def from_dns():
        # some thousands more where answers come in another order
        found = []
        for _ in range(3):
            os.truncate(path + "/answers.1", 0)
            found.append(decision("module", 1))
        return [min(x) for x in zip(*found)]
    b.run(b.program("decide"), "module", b.module, b.conf, b.domains[0],
          user=USER)
    kinds["a decision from DNS"] = from_dns
    kinds["a decision from the store"] = lambda: decision("stored", 200)

    def relayed():
        r = subprocess.run(
            ["unshare", "-m", sys.executable, "-B", os.path.dirname(
                os.path.abspath(__file__)) + "/relayed.py", "bench0"],
            text=True, stdout=subprocess.PIPE, timeout=120, check=True)
        return [int(x) for x in r.stdout.split()]
    kinds["one relayed message"] = relayed
    count.part(b, kinds, table)


def survey(b):
    """A survey of signed domains without connections, by 1 and 2 processes."""
    many.part(b, exim.PREFIX + "/bin/danevirke", table)


def relay(b):
    """OpenSMTPD through the relay, and the relay's memory."""
    smtpd.part(b, table)


def mails(b):
    """10,000 messages to 1,000 domains, of which nothing is known before."""
    mail.part(b, table)


def mta_sts(b):
    """MTA-STS, and reports: off, on without a policy or record, on with one."""
    sts.part(b, table, us, USER)


# the last two cover folders that the others need
PARTS = {"count": counts, "verify": verify, "decide": decide,
         "far": far, "throughput": throughput, "start": start, "store": store,
         "exim": exim_mail, "check": check, "survey": survey,
         "mta_sts": mta_sts, "relay": relay, "mail": mails}
