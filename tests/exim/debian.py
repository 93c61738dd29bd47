# SPDX-License-Identifier: ISC
"""examples/exim in an administrator's hands: Debian's split configuration, as
update-exim4.conf makes it, and hooks of the administrator's own beside ours."""

import os
import re
import shutil
import subprocess

import exim
from suite import Box, add, case, found, want

EXAMPLES = exim.EXAMPLES
CONFDIR = "/etc/exim4"
DEBCONF = """dc_eximconfig_configtype='%s'
dc_other_hostnames='lab.alpha'
dc_local_interfaces='127.0.0.1'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='true'
dc_relay_nets=''
dc_smarthost='%s'
CFILEMODE='644'
dc_use_split_config='true'
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


def generated(box, kind, smarthost="", password=None, macros=""):
    """What update-exim4.conf makes of Debian's files and ours."""
    conf = box.dir + "/debian"
    shutil.copytree(CONFDIR + "/conf.d", conf + "/conf.d")
    for section in os.listdir(EXAMPLES + "/debian"):
        for name in os.listdir("%s/debian/%s" % (EXAMPLES, section)):
            shutil.copy("%s/debian/%s/%s" % (EXAMPLES, section, name),
                        "%s/conf.d/%s/" % (conf, section))
    with open(conf + "/conf.d/main/000_lab", "w") as f:
        f.write(LAB % {"dir": box.dir, "helo": box.helo,
                       "lib": exim.PREFIX + "/lib/danevirke/exim.so"}
                + macros + "\n")
    with open(conf + "/conf.d/transport/41_lab", "w") as f:
        f.write(SHORT)          # goes on where ours ends
    with open(conf + "/update-exim4.conf.conf", "w") as f:
        f.write(DEBCONF % (kind, smarthost))
    if password is not None:
        path = box.dir + "/exim4/passwd.danevirke"
        with open(path, "w") as f:
            f.write(password + "\n")
    subprocess.run([NEEDED, "-d", conf, "-o", box.dir + "/generated"],
                   check=True, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT)
    with open(box.dir + "/generated") as f:
        text = f.read()
    text = text.replace("/usr/share/doc/danevirke/examples/exim", EXAMPLES)
    text = text.replace(conf, CONFDIR)
    box.text = box.include(text)
    return box.start()


def order(box, what):
    said = box.run("-bP", what).stdout.split()
    return said


@case("Debian, internet site: ours before dnslookup, and mail flows")
def internet(w):
    box = generated(Box(w), "internet")
    routers = order(box, "router_list")
    want(routers.index("danevirke_unroutable") <
         routers.index("danevirke_route") < routers.index("dnslookup"),
         routers)
    want("danevirke_smtp" in order(box, "transport_list"), "no transport")
    sent = box.send("good", "wrong", "stripped", "second", "plain")
    want(not box.leaks(), "LEAKED\n%s" % sent)
    for name, result in (("good", "delivered"), ("second", "delivered"),
                         ("plain", "delivered"), ("wrong", "deferred"),
                         ("stripped", "deferred")):
        want(sent.result(name) == result, "%s: %s" % (name, sent))
    want(found("good.alpha via .*: dane: ", sent.log), sent)
    want("T=remote_smtp" not in sent.log, sent)


@case("P02 Debian: a domain of level off goes to Debian's own router")
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


def smarthost(w, name, arrives, password=True):
    """Everything goes by way of this scenario's relay host."""
    box = generated(Box(w), "smarthost", smarthost_of(w, name),
                    "user:" + SECRET if password else None,
                    "DANEVIRKE_RELAY_AUTH = *" if password else "")
    sent = box.send(name)
    want(not box.leaks(), "LEAKED\n%s" % sent)
    want((sent.result(name) == "delivered") == arrives, sent)
    known = box.sessions(password=True)
    want(bool(known) == (arrives and password), sent)
    if known:
        want("T=danevirke_smarthost" in sent.log, sent)
        want(known[0]["auth"][-1].endswith(SECRET), known[0]["auth"])


add("S08 Debian, smarthost: the password after the judgement", smarthost,
    "smart", True)
add("S08 Debian, smarthost: no password for another certificate", smarthost,
    "smart-wrong", False)


@case("an event_action and authenticated_sender beside ours")
def beside(w):
    box = Box(w)
    box.edit(r"^DANEVIRKE_LIB = ",
             "DANEVIRKE_MY_EVENT = ${if eq{$event_name}{msg:delivery}"
             "{${run{/usr/bin/touch %s/spool/seen}}}}\n"
             "DANEVIRKE_MY_SENDER = own@lab.alpha\n"
             "DANEVIRKE_LIB = " % box.dir)
    sent = box.start().send("good", "wrong", "stripped")
    want(not box.leaks(), "LEAKED\n%s" % sent)
    want(sent.result("good") == "delivered", sent)
    want(sent.result("wrong") == "deferred", sent)
    want(sent.result("stripped") == "deferred", sent)
    want(os.path.exists(box.dir + "/spool/seen"), "msg:delivery was not seen")


if not os.path.exists(NEEDED):
    raise SystemExit("tests/exim: want Debian's exim4-config")
