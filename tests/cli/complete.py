# SPDX-License-Identifier: ISC
"""What shells complete of danevirke(1), against its tables."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

import tool
from tool import has, path, run, same, write

HERE = os.path.dirname(os.path.abspath(__file__))
FUNCTIONS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "shim",
                         "cli", "completion")


def words(*args):
    """What the tool says may follow: {word: value}."""
    r = run(*args, "--complete", module=False)
    same((r.code, r.err), (0, ""), args)
    rows = [line.split("\t") for line in r.out.splitlines()]
    same({len(row) for row in rows}, {3}, r.out)
    found = {word: value for word, value, _ in rows}
    same(len(found), len(rows), r.out)
    return found


def environment():
    return {"PATH": os.path.dirname(tool.TOOL) + ":" + os.environ["PATH"],
            "HOME": tool.DIR, "TERM": "dumb", "LC_ALL": "C.UTF-8",
            "PS1": "READY> "}


def shell(program, *args):
    """What it prints; None: it is not installed."""
    if not shutil.which(program):
        print("    left out: no %s" % program)
        return None
    p = subprocess.run([program, *args], env=environment(), cwd=tool.DIR,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=20)
    same(p.returncode, 0, p.stdout)
    return p.stdout


def typed(argv, prepare, line, wanted):
    """An interactive shell that is typed at shows wanted within 20 s."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(tool.DIR)
        os.execvpe(argv[0], argv, environment())
    seen, end = "", time.monotonic() + 20
    todo = [prepare + "\n", line]
    while wanted not in seen and time.monotonic() < end:
        if todo and "READY> " in seen:
            os.write(fd, todo.pop(0).encode())
            seen = ""
        if select.select([fd], [], [], 0.5)[0]:
            try:
                seen += os.read(fd, 4096).decode(errors="replace")
            except OSError:
                break
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(fd)
    has(seen, wanted)


def test_words():
    """--complete names every subcommand, and no option but those it takes"""
    commands = words()
    same(set(commands) >= {"check", "doctor", "route", "tlsa"}, True)
    for c in commands:
        known = re.findall(r"--[a-z-]+", run(c, "--help", module=False).out)
        found = words(c)
        assert set(known) <= set(found) | {"--json"}, (c, known, found)
        for option in [w for w in found if w.startswith("--")]:
            r = run(c, option + "=x", "--nonsense", module=False)
            assert "no such option" not in r.err or "--nonsense" in r.err
            same("takes no value" in r.err,
                 found[option] == "-" and option != "--nsupdate",
                 (c, option, r.err))
    same([w for w in words("setup") if w[0] != "-"], ["exim", "opensmtpd"])
    same([w for w in words("store") if w[0] != "-"], ["list", "flush"])
    same([w for w in words("verify") if w[0] != "-"], [])
    same(words("rollover")["--cert"], "NEW")


def test_bash():
    """bash completes what the tables have, and files where a value stands"""
    file = os.path.join(FUNCTIONS, "danevirke")
    same(shell("bash", "-n", file), "")

    def reply(*line):
        previous = line[-2]
        return shell("bash", "-c", '. "$1"; shift; COMP_WORDS=("$@"); '
                     'COMP_CWORD=$(($# - 1)); _danevirke danevirke "${!#}" '
                     '"${COMP_WORDS[COMP_CWORD - 1]}"; '
                     "printf '%s\\n' \"${COMPREPLY[@]}\"",
                     previous, file, *line).split()
    same(reply("danevirke", ""), list(words()))
    for c in words():
        same(reply("danevirke", c, ""), list(words(c)), c)
    same(reply("danevirke", "che"), ["check"])
    same(reply("danevirke", "check", "--he"), ["--helo", "--help"])
    same(reply("danevirke", "tlsa", "--cert", ""), [])
    same(reply("danevirke", "tlsa", "--nsupdate", "--tt"), ["--ttl"])
    same(reply("danevirke", "tlsa", "--cert", "="), [])
    for c in ("help", "--version", "nonsense", "--config"):
        same(reply("danevirke", c, ""), [], c)
    write("mine.pem", "x")
    for line, wanted in (("danevirke rou\texample.org --pro\tx",
                          "route example.org --profile x"),
                         ("danevirke tlsa --cert mi\t", "mine.pem")):
        typed(["bash", "--norc", "--noprofile", "-i"], ". " + file, line,
              wanted)


def test_zsh():
    """zsh does, too"""
    file = os.path.join(FUNCTIONS, "_danevirke")
    if shell("zsh", "-n", file) is None:
        return
    write("mine.pem", "x")
    for line, wanted in (("danevirke rou\t", "route"),
                         ("danevirke store fl\t", "flush"),
                         ("danevirke check --helo x --dns\t", "--dns-only"),
                         ("danevirke tlsa --cert mi\t", "mine.pem")):
        typed(["zsh", "-f", "-i"], "fpath=(%s $fpath); autoload -Uz compinit; "
              "compinit -u -D" % FUNCTIONS, line, wanted)


def test_fish():
    """fish does, with what the tables say of each"""
    file = os.path.join(FUNCTIONS, "danevirke.fish")
    if shell("fish", "-n", file) is None:
        return
    write("mine.pem", "x")

    def reply(line):
        out = shell("fish", "--no-config", "-c",
                    "source %s; complete -C '%s'" % (file, line))
        return dict(x.partition("\t")[::2] for x in out.splitlines())
    same(set(reply("danevirke ")) >= set(words()), True)
    for c in words():
        same(set(reply("danevirke %s --" % c)),
             {w for w in words(c) if w[0] == "-"}, c)
    same(reply("danevirke rou"),
         {"route": "how mail to a domain is routed and protected"})
    same(list(reply("danevirke tlsa --cert mi")), ["mine.pem"])
