# SPDX-License-Identifier: ISC
"""What the tests of danevirke(1) share: finding it, running it, counting."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

TOOL = MODULE = DIR = None
_passed = _failed = 0


def find(build):
    """The tool and the module in a build directory, or installed."""
    global TOOL, MODULE, DIR
    build = os.path.abspath(build)
    tools = [os.path.join(build, "danevirke"),
             os.path.join(build, "bin", "danevirke")]
    modules = [os.path.join(build, ".libs", "danevirke.so"),
               os.path.join(build, "danevirke.so"),
               os.path.join(build, "lib", "danevirke", "danevirke.so")]
    TOOL = next((t for t in tools if os.access(t, os.X_OK)), None)
    MODULE = next((m for m in modules if os.path.exists(m)), None)
    if TOOL is None or MODULE is None:
        print("FAIL: no danevirke or danevirke.so in %s" % build)
        print("0 passed, 1 failed")
        sys.exit(1)
    DIR = tempfile.mkdtemp(prefix="danevirke-cli.")
    import atexit
    atexit.register(shutil.rmtree, DIR, True)


class Result:
    def __init__(self, p):
        self.code, self.out, self.err = p.returncode, p.stdout, p.stderr

    @property
    def json(self):
        """The one object on standard output; an error if it is not one."""
        def unique(pairs):
            d = dict(pairs)
            assert len(d) == len(pairs), "a member twice: %r" % (pairs,)
            return d
        assert self.out.endswith("\n") and self.out.count("\n") == 1, self.out
        return json.loads(self.out, object_pairs_hook=unique)


def run(*args, module=True, stdin="", env=None, cwd=None, timeout=60):
    """danevirke ARGS, bounded; the module of the build is named for it."""
    cmd = [TOOL] + list(args)
    if module and args:
        cmd[2:2] = ["--module", MODULE]
    return Result(subprocess.run(
        cmd, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, errors="surrogateescape", timeout=timeout, cwd=cwd or DIR,
        env=env if env is not None else {"PATH": os.environ["PATH"]}))


def path(name):
    return os.path.join(DIR, name)


def write(name, data):
    with open(path(name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return path(name)


def same(found, wanted, what=""):
    assert found == wanted, "%s: found %r, want %r" % (what, found, wanted)


def has(text, part):
    assert part in text, "%r not in %r" % (part, text)


def run_all(module):
    """Every function test_* of the module, in the order of the file."""
    global _passed, _failed
    for name, f in list(vars(module).items()):
        if not name.startswith("test_"):
            continue
        says = " ".join(f.__doc__.split())
        try:
            f()
        except Exception:
            _failed += 1
            print("FAIL: %s.%s: %s" % (module.__name__, name, says))
            print("    " + traceback.format_exc().replace("\n", "\n    "))
        else:
            _passed += 1
            print("ok: %s: %s" % (name, says))


def counts():
    return _passed, _failed


def main(clean=lambda: None, prepare=lambda: None):
    """For a program of tests that runs in the lab: its exit status."""
    a = argparse.ArgumentParser()
    a.add_argument("--build", required=True)
    a.add_argument("test", nargs="*", help="test_*, all if none is given")
    args = a.parse_args()
    find(args.build)
    me = sys.modules["__main__"]
    for name in [n for n in vars(me) if n.startswith("test_")]:
        if args.test and name not in args.test:
            delattr(me, name)
    try:
        prepare()
        run_all(me)
    finally:
        clean()
    print("%d passed, %d failed" % counts())
    return 1 if _failed or not _passed else 0
