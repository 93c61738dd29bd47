# SPDX-License-Identifier: ISC
"""danevirke setup, of Debian's Exim and OpenSMTPD, in the world of check.conf;
tests/cli/run starts it.  What it has done doctor finds good, and what it has
taken back is what was there before."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
import doctor  # noqa: E402
import opensmtpd  # noqa: E402
import tool  # noqa: E402
from check import CONF, host  # noqa: E402
from doctor import EXAMPLES, GOOD, PREFIX, TOOL, Exim, append  # noqa: E402
from doctor import edit, way  # noqa: E402
from tool import has, same, write  # noqa: E402

STATE = PREFIX + "/var/lib/danevirke/setup"
SMARTHOST = host("good") + "::25"


def prepare():
    doctor.prepare()


def setup(box, *args, code=0):
    p = box.command(TOOL, "setup", *args, "exim")
    same(p.returncode, code, p.stdout + p.stderr)
    return p


def state(box):
    """What Exim reads, and every file below its folder."""
    said = box.command("/usr/sbin/exim4", "-bP", "config")
    same(said.returncode, 0, said.stderr)
    files = {}
    for at, _, names in os.walk(box.etc):
        for name in names:
            path = os.path.join(at, name)
            st = os.stat(path)
            with open(path, "rb") as f:
                files[path] = f.read(), st.st_mode, st.st_uid, st.st_gid
    return said.stdout, files


def there_and_back(kind, split, **how):
    client = how.pop("client", None)
    box = Exim(kind, split=split, ours=False, **how)
    if client:
        append(box.etc + "/passwd.client", client + "\n")
    before = state(box.update())
    diff = setup(box).stdout
    has(diff, "+++ /etc/exim4/")
    has(diff, "nothing is changed yet; --apply does it")
    same(state(box), before, "without --apply something was changed")
    has(setup(box, "--apply").stdout, "now run: service exim4 restart")
    box.doctor("--offline").good()
    d = box.doctor("--domain", GOOD)
    way(d, GOOD, "danevirke_smtp" if kind == "internet" else
        "danevirke_smarthost", "dane")
    has(setup(box, "--apply", code=2).stderr, "already")
    has(setup(box, "--undo").stdout, "taken back")
    same(state(box), before, "--undo")
    assert not os.path.exists(os.path.dirname(STATE)), "copies are left"
    has(setup(box, "--undo", code=2).stderr, "nothing to undo")
    return diff


def test_internet():
    """an internet site, split and unsplit: there and back"""
    for split in (True, False):
        there_and_back("internet", split)


def test_smarthost():
    """a smarthost without a password"""
    for split in (True, False):
        there_and_back("smarthost", split, smarthost=SMARTHOST)


def test_password():
    """a smarthost, a satellite, with a password in passwd.client (S08)"""
    entry = SMARTHOST.partition(":")[0] + ":user:hunter2x"
    for kind, split in (("smarthost", True), ("smarthost", False),
                        ("satellite", True), ("satellite", False)):
        diff = there_and_back(kind, split, smarthost=SMARTHOST, client=entry)
        same(diff.count("+  client_condition = DANEVIRKE_RELAY_JUDGED"), 3)
        assert "hunter2x" not in diff, "a password was printed"


def test_light():
    """an Exim that cannot use exim.so: by danevirked, there and back"""
    path = doctor.conf("light.conf", doctor.DAEMON)
    for split in (True, False):
        box = Exim(split=split, ours=False).update()
        before = state(box)
        light = "--exim", doctor.LIGHT
        setup(box, "--apply", *light)
        d = box.doctor("--offline", *light, config=path).good()
        d.find("note", "router danevirked_route and transport danevirked_smtp")
        setup(box, "--undo")
        same(state(box), before)
    box = Exim("smarthost", ours=False, smarthost=SMARTHOST).update()
    has(setup(box, *light, code=2).stderr, "danevirked is not for smarthosts")


def test_other_kind():
    """split: what it has written is right for another kind, too"""
    box = Exim(ours=False).update()
    setup(box, "--apply")
    edit(box.etc + "/update-exim4.conf.conf", "^dc_.*type=.*|^dc_smart.*",
         lambda m: "dc_smarthost='%s'" % SMARTHOST if "smart" in m.group()
         else "dc_eximconfig_configtype='satellite'")
    way(box.update().doctor("--domain", GOOD).good(), GOOD,
        "danevirke_smarthost", "dane")
    setup(box, "--undo")


def test_uninstall():
    """make uninstall leaves no server that does not start"""
    box = Exim(split=False, ours=False).update()
    setup(box, "--apply")
    make = "make", "-s", "-C", os.path.dirname(tool.TOOL)
    p = box.command(*make, "uninstall")
    assert p.returncode, p.stdout
    has(p.stdout, "/etc/exim4/exim4.conf.template:.include " + EXAMPLES)
    has(p.stderr, "danevirke setup exim")
    assert os.path.exists(TOOL), "it has begun"
    setup(box, "--undo")
    p = box.command(*make, "uninstall-unused")
    same(p.returncode, 0, p.stdout)


def test_refused():
    """what it does not recognise it refuses, and changes nothing"""
    for what, split, change in (
            ("template", False, lambda b: edit(
                b.template, "^dnslookup_relay_to_domains:$", "other:")),
            ("two", False, lambda b: append(
                b.template, "\nbegin transports\n")),
            ("place", True, lambda b: append(
                b.etc + "/conf.d/router/190_danevirke", "# mine\n"))):
        box = Exim(split=split, ours=False).update()
        change(box)
        before = state(box)
        has(setup(box, "--apply", code=2).stderr, "by hand")
        same(state(box), before, what)
    box = Exim(ours=False).update()
    os.link(box.dir + "/var/config.autogenerated", box.etc + "/exim4.conf")
    has(setup(box, code=2).stderr, "is not what update-exim4.conf makes")
    box = Exim("local", ours=False).update()
    has(setup(box, code=2).stderr, "sends no mail")
    box = Exim().update()
    has(setup(box, code=2).stderr, "have Danevirke already")


def test_not_taken():
    """where update-exim4.conf refuses it, all is as it was"""
    box = Exim(ours=False).update()
    before = state(box)
    # it takes effect once ours is there
    append(box.etc + "/conf.d/transport/41_bad", "  nosuch = 1\n")
    p = setup(box, "--apply", code=2)
    has(p.stderr, "nosuch")
    os.unlink(box.etc + "/conf.d/transport/41_bad")
    same(state(box), before)
    assert not os.path.exists(STATE + "/exim")


def test_full():
    """where no copy can be kept nothing is changed"""
    box = Exim(split=False, ours=False).update()
    before = state(box)
    at = os.path.dirname(STATE)
    os.makedirs(at)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "full", at],
                   check=True)
    try:
        has(setup(box, "--apply", code=2).stderr, "nothing was changed")
        same(state(box), before)
        same(os.listdir(at), [], "what is left")
    finally:
        subprocess.run(["umount", at], check=True)
        os.rmdir(at)


def test_changed_since():
    """--undo takes nothing back that somebody has changed since"""
    box = Exim(ours=False).update()
    setup(box, "--apply")
    path = box.etc + "/conf.d/router/190_danevirke"
    append(path, "# mine\n")
    before = state(box)
    has(setup(box, "--undo", code=2).stderr, "changed since")
    same(state(box), before)
    edit(path, "^# mine\n", "")
    setup(box, "--undo")
    assert not os.path.exists(path)


def test_no_configuration():
    """without danevirke.conf all mail would wait, so it is wanted first"""
    box = Exim(ours=False).update()
    os.rename(CONF, CONF + ".away")
    try:
        has(setup(box, "--apply", code=2).stderr, "an empty file is valid")
    finally:
        os.rename(CONF + ".away", CONF)


def test_conffile():
    """it is said which files dpkg will ask about"""
    has(setup(Exim(split=False, ours=False).update()).stderr,
        "/etc/exim4/exim4.conf.template is Debian's: dpkg will ask")


def test_options():
    """one server, one of --apply and --undo, as root"""
    for args, says in ((("setup",), "which server"),
                       (("setup", "postfix"), "want exim or opensmtpd"),
                       (("setup", "--apply", "--undo", "exim"), "one of them"),
                       (("setup", "--json", "exim"), "no JSON"),
                       (("setup", "--exim", "exim4", "exim"), "absolute")):
        p = tool.run(*args, module=False)
        same(p.code, 2, args)
        has(p.err, says)


# ---------------------------------------------------------------- OpenSMTPD

DEBIAN = """listen on 127.0.0.1
action "local" maildir
action "relay" relay%s
match for local action "local"
match from local for any action "relay"
"""


def smtpd(path, *args, command="setup", code=0):
    p = subprocess.run(
        [TOOL, command, "--smtpd", opensmtpd.SMTPD, "--smtpd-conf", path,
         *args, "opensmtpd"], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60, cwd="/", env={})
    if code is not None:
        same(p.returncode, code, p.stdout + p.stderr)
    return p


def conf(text):
    path = write("setup.conf", text)
    os.chmod(path, 0o600)
    return path


def test_smtpd():
    """smtpd.conf: there and back"""
    for more, after in (("", ""), (" tls", ""), (
            " src 127.0.0.1 helo mail.lab.alpha",
            " src 127.0.0.1 helo mail.lab.alpha")):
        text = DEBIAN % more
        path = conf(text)
        diff = smtpd(path).stdout
        has(diff, '+action "relay" relay domain <dane>%s\n' % after)
        has(diff, "+table dane danevirke:%s\n" % CONF)
        has(smtpd(path, "--apply").stdout, "now run: ")
        doctor.Doctor(smtpd(path, "--offline", "--json", command="doctor",
                            code=None)).good()
        has(smtpd(path, "--apply", code=2).stderr, "has Danevirke already")
        smtpd(path, "--undo")
        with open(path) as f:
            same(f.read(), text)
        same(os.stat(path).st_mode & 0o777, 0o600)


def test_smtpd_refused():
    """a smarthost, two actions, none, lines that go on"""
    for old, new in (
            ('"relay" relay\n', '"relay" relay host smtp://192.0.2.1\n'),
            ('"relay" relay\n', '"relay" relay\naction "b" relay\n'),
            ('action "relay" relay\n', ""),
            ('"relay" relay\n', '"relay" \\\n relay\n')):
        text = (DEBIAN % "").replace(old, new)
        path = conf(text)
        has(smtpd(path, "--apply", code=2).stderr, "by hand")
        with open(path) as f:
            same(f.read(), text)


def test_smtpd_not_taken():
    """where smtpd -n refuses it, all is as it was"""
    os.unlink(doctor.TABLE)
    try:
        text = DEBIAN % ""
        path = conf(text)
        smtpd(path, "--apply", code=2)
        with open(path) as f:
            same(f.read(), text)
    finally:
        os.symlink(opensmtpd.TABLE, doctor.TABLE)


if __name__ == "__main__":
    sys.exit(tool.main(prepare=prepare))
