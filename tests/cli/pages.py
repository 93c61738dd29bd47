# SPDX-License-Identifier: ISC
"""danevirke check --html and survey --html, in the world of check.conf, looked
at with a browser; tests/cli/run starts it.  PAGES=DIR: pictures of them go
there."""

import base64
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import tool  # noqa: E402
from check import CONF, check, domain  # noqa: E402
from tool import has, path, run, same, write  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = os.environ.get("DV_PAGES")
SHOTS = os.environ.get("PAGES")
NAMES = ("two", "group", "wrong", "anchor", "expired", "insecure", "gap",
         "tlsafail", "nostarttls", "nullmx", "down", "many", "rollover")
# what a name or a text may hold, to get out of where it stands
BAD = ("</script><script>alert(1)</script>", "<!--<script>", "]]>", "&lt;b&gt;",
       "a\u2028b\u2029c", "<img src=x onerror=alert(2)>", "\"'`${alert(3)}\\",
       "</pre><h1 id=strange>", "\x01\x1b[31m", "@reports@", "\u202egnp",
       ',"time":')
BLOCK = re.compile(r'<pre>(.*?)</pre><script type="application/json">(.*?)\n'
                   r'</script>\n', re.S)


class Browser:
    """browser.js, started once."""

    def __init__(self):
        self.p = None

    def __getattr__(self, name):
        def call(**how):
            if self.p is None:
                self.p = subprocess.Popen(
                    ["node", HERE + "/browser.js", MODULES,
                     shutil.which("chromium")], text=True,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.p.stdin.write(json.dumps(dict(how, do=name)) + "\n")
            self.p.stdin.flush()
            answer = json.loads(self.p.stdout.readline())
            assert "error" not in answer, answer["error"]
            return answer["value"]
        return call

    def end(self):
        if self.p is not None:
            self.p.stdin.close()
            self.p.wait(timeout=20)


B = Browser()


def page(name, text):
    assert "\r" not in text
    return write(name + ".html", text.encode("utf-8", "surrogateescape"))


def blocks(text):
    """(text, report) of each report in a page"""
    return [(html.unescape(t), json.loads(j)) for t, j in BLOCK.findall(text)]


def timeless(x):
    """Without what is another a second later: a day can end between."""
    if isinstance(x, str):
        return re.sub(r"end in \d+ days", "end", x)
    if isinstance(x, list):
        return [timeless(y) for y in x]
    return {k: timeless(v) if isinstance(v, list) else v
            for k, v in x.items() if k not in (
                "time", "milliseconds", "signature_days", "certificate_days")
            } if isinstance(x, dict) else x


NARROW = {"dark": True, "width": 360}
PRINT = {"print": True}


def looked_at(name, *modes, wanted=()):
    """No complaint, and everything of it is readable to everyone."""
    for how in ({},) + modes:
        B.open(file=path(name + ".html"), **how)
        B.wait(code="document.querySelector('.picture svg, [role=status]') "
               "!== null")
        if "print" not in how:
            same(B.axe(), [], "%s %r" % (name, how))
        same(B.eval(code="document.documentElement.scrollWidth <= "
                    "document.documentElement.clientWidth"), True,
             "%s %r: as wide as the window" % (name, how))
        same(B.said(), [], "%s %r" % (name, how))
        if SHOTS:
            B.shot(to="%s/%s%s.png" % (SHOTS, name, "".join(
                "-" + str(k) for k in how)))
    seen = B.text() + " ".join(B.eval(
        code="Array.from(document.querySelectorAll('svg text'), "
        "(e) => e.textContent)"))
    for x in wanted:
        has(seen, x)


def test_one_file():
    """a page is what --json and the text say, in one file that may load nothing"""
    for ident in ("two", "address", "wrong"):
        r = check("--html", domain(ident))
        j = check("--json", domain(ident))
        same((r.code, r.err), (j.code, ""))
        (text, report), = blocks(r.out)
        same(timeless(report), timeless(j.json["checks"][0]))
        same(timeless(text), timeless(check(domain(ident)).out))
        page(ident, r.out)
        assert not re.search(r"https?:(?!//www\.w3\.org/2000/svg)", r.out)
        view = r.out[:r.out.index("<body>")]
        policy, = re.findall(r'Policy" content="([^"]*)"', view)
        has(policy, "default-src 'none'; base-uri 'none'; form-action 'none'")
        for tag in ("script", "style"):
            inner, = re.findall("<%s>(.*?)</%s>" % (tag, tag), view, re.S)
            digest = hashlib.sha256(inner.encode()).digest()
            has(policy, "%s-src 'sha256-%s'" % (
                tag, base64.b64encode(digest).decode()))
        assert "unsafe" not in policy


def test_one_form():
    """--html excludes the other forms, and nothing is tested then"""
    for o in ("--json", "--nagios", "--prometheus"):
        r = check("--html", o, domain("good"))
        has(r.err + r.out, "want one of them")
        assert r.code in (2, 3) and "<html" not in r.out
    for o in (["--json"], ["--resume", write("results", "")]):
        r = run("survey", "--config", CONF, "--html", *o, stdin="x\n")
        same((r.code, r.out), (2, ""))
        has(r.err, "want one of them")


def test_survey():
    """survey --html has every line, and of each text what is wrong"""
    names = [domain(n) for n in NAMES]
    r = run("survey", "--config", CONF, "--timeout", "3", "--html",
            stdin="\n".join(names))
    same((r.code, r.err), (0, ""))
    found = {x["n"]: (t, x) for t, x in blocks(r.out)}
    same([found[n][1]["domain"] for n in sorted(found)], names)
    for t, x in found.values():
        same(t.split("\n")[0], "%s: %s: %s" % (
            x["domain"], x["verdict"], x["summary"]))
        for f in x["findings"]:
            same(f["text"] in t, f["severity"] != "note", f)
        assert "198.18." not in t or x["findings"], t
    page("survey", r.out)
    # without names it is a page, too
    r = run("survey", "--config", CONF, "--html")
    same((r.code, r.err, blocks(r.out)), (0, "", []))
    assert r.out.endswith("</html>\n")


def test_strange_strings():
    """no string can get out of its place in the page"""
    r = check("--html", *BAD)
    same(len(BLOCK.findall(r.out)), len(BAD))
    body = r.out[r.out.index("<body>"):]
    same(body.count("<script"), len(BAD))
    same(body.count("<pre>"), len(BAD))
    for bad in ("\u2028", "\u2029", "<!--", "<img", "]]>", "\x1b", "\u202e"):
        assert bad not in re.sub(r"<pre>.*?</pre>", "", body, flags=re.S) or \
            bad == "\u202e", bad
    same([x["domain"] for _, x in blocks(r.out)], list(BAD))
    page("strange", r.out)


def browser(f):
    """A test that needs one: there is none without."""
    return f if MODULES is not None else None


@browser
def test_strange_strings_seen():
    """the browser shows them as they are, and runs none"""
    looked_at("strange", NARROW)
    B.open(file=path("strange.html"))
    same(sorted(B.eval(code="Array.from(document.querySelectorAll("
                       "'.name button'), (e) => e.textContent)")),
         sorted(BAD))
    same(B.eval(code="document.getElementById('strange')"), None)
    for i in range(len(BAD)):
        B.eval(code="document.querySelectorAll('.name button')[%d].click()" % i)
    same(B.eval(code="document.querySelectorAll('.open').length"), len(BAD))
    same(B.said(), [])


@browser
def test_good_seen():
    """a good domain: the whole path, and which record matches what"""
    looked_at("two", wanted=[
        ". (root)", domain("two"), "MX records", "signatures end ",
        "MX 10: authenticated", "MX 20: authenticated", "2 1 1", "matches",
        "CN=mx1." + domain("two"), "Nothing has to be done."])
    B.open(file=path("two.html"))
    # two kinds of records match on the first host, and one on the second
    same(B.eval(code="document.querySelectorAll("
                "'.picture path.wire.good[d*=C]').length"), 3)
    same(B.eval(code="document.querySelectorAll('.picture .bad').length"), 0)
    has(B.eval(code="document.title"), "good")


@browser
def test_broken_seen():
    """a broken domain: the link in its place, by shape and word"""
    looked_at("wrong", NARROW, PRINT, wanted=[
        "MX 10: broken", "no match", "nothing that was sent matches",
        "not authenticated", "What to do: publish the record"])
    # of two addresses one sends what matches, and the other does not
    for ident, good in (("wrong", 0), ("address", 1)):
        B.open(file=path(ident + ".html"), width=900)
        same([B.eval(code="document.querySelectorAll("
                     "'.picture path.wire.%s[d*=C]').length" % x)
              for x in ("good", "bad")], [good, 1])
    if SHOTS:   # README's
        B.shot(to=SHOTS + "/report.png", clip=dict(
            x=0, y=0, width=900, height=820))


@browser
def test_survey_seen():
    """a survey: problems first; it sorts, filters and opens by keyboard"""
    looked_at("survey", NARROW)
    B.open(file=path("survey.html"))
    rows = ("Array.from(document.querySelectorAll('.list tbody > tr'), "
            "(e) => e.children[0].innerText.trim() + ' ' + "
            "e.children[1].innerText.trim())")
    found = B.eval(code=rows)
    same(len(found), len(NAMES))
    words = ["Problem", "Not tested", "Warning", "Good"]
    places = [[w for w in words if x.startswith(w)][0] for x in found]
    same(places, sorted(places, key=words.index))
    # by keyboard alone: four filters, the field, the heads, the first row
    B.press(key="Tab")
    B.press(key="Space")
    has(B.eval(code="document.querySelector('[role=status]').innerText"),
        "%d of %d domains" % (places.count("Not tested") + places.count(
            "Warning") + places.count("Good"), len(NAMES)))
    B.press(key="Space")
    for _ in range(4):
        B.press(key="Tab")
    B.type(text="WRO")
    B.wait(code="document.querySelectorAll('.list tbody > tr').length === 1")
    for _ in range(5):
        B.press(key="Tab")
    B.press(key="Enter")
    B.wait(code="document.querySelector('.open .picture svg') !== null")
    same(B.axe(), [])
    same(B.eval(code="document.activeElement.getAttribute('aria-expanded')"),
         "true")
    B.press(key="Enter")
    same(B.eval(code="document.querySelector('.open')"), None)
    B.open(file=path("survey.html"))
    for up, wanted in ((True, "ascending"), (False, "descending")):
        B.click(what="th button >> text=Domain")
        names = [x.split()[-1] for x in B.eval(code=rows)]
        same(names, sorted(names, reverse=not up))
        same(B.eval(code="document.querySelector('th[data-key=domain]')"
                    ".getAttribute('aria-sort')"), wanted)
    # each of them can be drawn
    B.eval(code="document.querySelectorAll('.name button')"
           ".forEach((e) => e.click())")
    B.wait(code="document.querySelectorAll('.picture svg').length === %d" %
           len(NAMES))
    same(B.said(), [])


@browser
def test_without_scripts():
    """without JavaScript the result and the problems are there as text"""
    for name in ("wrong", "survey"):
        B.open(file=path(name + ".html"), js=False)
        has(B.text(), domain("wrong") + ": problem: DANE is broken")
        has(B.text(), "-> publish the record of this certificate")


@browser
def test_paper():
    """on paper: the picture and all the words, on few pages"""
    B.open(file=path("wrong.html"))
    B.wait(code="document.querySelector('.picture svg') !== null")
    B.pdf(to=path("wrong.pdf"))
    with open(path("wrong.pdf"), "rb") as f:
        pages = len(re.findall(rb"/Type\s*/Page\b", f.read()))
    assert 1 <= pages <= 4, pages


@browser
def test_large():
    """20,000 domains: sorting and filtering take less than two seconds"""
    with open(path("survey.html")) as f:
        text = f.read()
    begin, end = re.search(BLOCK, text).start(), text.rindex("</script>\n")
    end += len("</script>\n")
    one = BLOCK.findall(text)
    many = [
        '<pre>%s</pre><script type="application/json">%s\n</script>\n' % (
            t, j.replace('{"domain":"', '{"domain":"n%d.' % i, 1))
        for i, (t, j) in ((i, one[i % len(one)]) for i in range(20000))]
    write("large.html", text[:begin] + "".join(many) + text[end:])
    B.open(file=path("large.html"))
    B.wait(code="document.querySelector('[role=status]') !== null")
    has(B.text(), "20000 of 20000 domains, the first 100 are shown")
    for code in ("document.querySelector('th[data-key=domain] button').click()",
                 "document.querySelector('.controls button').click()"):
        ms = B.eval(code="(() => { const t = performance.now(); %s; "
                    "document.body.offsetHeight; "
                    "return performance.now() - t; })()" % code)
        assert ms < 2000, ms
    B.click(what="#more")
    same(B.eval(code="document.querySelectorAll('.list tbody > tr').length"),
         200)
    same(B.said(), [])


if __name__ == "__main__":
    if MODULES is None:
        print("skipped: what a browser shows: node, npm and chromium, and "
              "what npm fetches, are not all there")
        for name in [n for n in vars() if n.startswith("test_")]:
            if vars()[name] is None:
                del vars()[name]
    sys.exit(tool.main(clean=B.end))
