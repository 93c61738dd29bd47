# SPDX-License-Identifier: ISC
"""Runs tests of a program of ours that is alone in namespaces of its own, on a
tmpfs over /mnt: fd0.TESTS, for protocol.py and ../danevirked/map.py."""

import argparse
import fnmatch
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback

from fd0 import DIR, LOG, STDERR, TABLES, TESTS

INSIDE = "DV_ALONE_INSIDE"


def enter(path):
    if os.geteuid() != 0:
        sys.exit("%s: want root (namespaces)" % path)
    os.environ[INSIDE] = "1"
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    p = subprocess.Popen(["unshare", "-n", "-m", "-p", "-f", "--mount-proc",
                          "--kill-child", sys.executable, "-B",
                          os.path.abspath(path)] + sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: p.kill())
    status = p.wait()
    sys.exit(status if status >= 0 else 128 - status)


def prepare(build, program, other):
    for where in ("/mnt", "/run"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "test",
                        where], check=True)
    os.makedirs(DIR)
    os.makedirs("/mnt/dev")
    for name in ("null", "zero", "full", "random", "urandom"):
        with open("/mnt/dev/" + name, "w"):
            pass
        subprocess.run(["mount", "--bind", "/dev/" + name,
                        "/mnt/dev/" + name], check=True)
    subprocess.run(["mount", "--rbind", "/mnt/dev", "/dev"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    p = subprocess.run(["make", "-C", build, "install"], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if p.returncode:
        sys.exit("make install failed:\n" + p.stdout)
    if other:
        os.makedirs(os.path.dirname(program), exist_ok=True)
        shutil.copy(other, program)
        os.chmod(program, 0o755)


def says(f):
    return " ".join(f.__doc__.split())


def stop(judge=True):
    """Ends what is left of a test; sanitizers and valgrind are silent."""
    while TABLES:
        TABLES.pop().stop()
    with open(STDERR, errors="replace") as f:
        text = f.read()
    if judge and re.search(r"Sanitizer|runtime error|==\d+==", text):
        raise AssertionError(text)


def main(path, doc, program):
    """path: of the test itself; program: what is tested."""
    p = argparse.ArgumentParser(description=doc.split("\n")[0])
    p.add_argument("--build", metavar="DIR", required=True)
    p.add_argument("--program", metavar="FILE")
    p.add_argument("patterns", nargs="*", metavar="PATTERN")
    a = p.parse_args()
    if INSIDE not in os.environ:
        enter(path)
    prepare(os.path.abspath(a.build), program, a.program)
    LOG.start()
    passed = failed = 0
    for name, f, args in TESTS:
        if a.patterns and not any(fnmatch.fnmatch(name, x) or
                                  name.split(" ")[0] == x
                                  for x in a.patterns):
            continue
        mark = LOG.mark()
        open(STDERR, "w").close()
        began = time.monotonic()
        try:
            f(*args)
            stop()
            passed += 1
            print("ok - %s: %s (%.1f s)" % (name, says(f),
                                            time.monotonic() - began))
        except BaseException as e:
            failed += 1
            print("FAIL - %s: %s" % (name, says(f)))
            for line in traceback.format_exc().splitlines()[-12:] + \
                    LOG.since(mark)[-20:]:
                print("    " + line)
            if not isinstance(e, Exception):
                raise
        finally:
            stop(False)
        sys.stdout.flush()
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0
