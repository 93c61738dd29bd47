# SPDX-License-Identifier: ISC
"""danevirke report: TLS reports in the shape of RFC 8460 Appendix B, as large
senders of mail send them, and what else an address for reports may get."""

import base64
import copy
import gzip
import json
import os
import quopri

from tool import has, run, same, write

EXAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "../../examples/receiving/README")

FAILURES = [
    {"result-type": "certificate-expired", "sending-mta-ip": "2001:db8::12",
     "receiving-mx-hostname": "mx1.mail.example.org",
     "failed-session-count": 100},
    {"result-type": "starttls-not-supported",
     "sending-mta-ip": "2001:db8::13",
     "receiving-mx-hostname": "mx2.mail.example.org",
     "receiving-ip": "203.0.113.56", "failed-session-count": 150,
     "additional-information": "https://reports.example.net/report_info"},
    {"result-type": "starttls-not-supported",
     "sending-mta-ip": "198.51.100.62",
     "receiving-mx-hostname": "mx2.mail.example.org",
     "receiving-ip": "203.0.113.58", "failed-session-count": 50},
    {"result-type": "validation-failure", "sending-mta-ip": "198.51.100.62",
     "receiving-ip": "203.0.113.58",
     "receiving-mx-hostname": "mx-backup.mail.example.org",
     "receiving-mx-helo": "mx-backup.example.org",
     "failed-session-count": 3, "failure-reason-code": "X509_V_ERR_SIG"}]


def policy(good=5326, failures=FAILURES, kind="sts", domain="example.org"):
    return {"policy": {"policy-type": kind, "policy-domain": domain,
                       "policy-string": ["version: STSv1", "mode: testing"],
                       "mx-host": ["*.mail.example.org"]},
            "summary": {"total-successful-session-count": good,
                        "total-failure-session-count":
                        sum(f["failed-session-count"] for f in failures)},
            "failure-details": copy.deepcopy(failures)}


def report(*policies, **other):
    return {"organization-name": "Company-X",
            "date-range": {"start-datetime": "2026-04-01T00:00:00Z",
                           "end-datetime": "2026-04-01T23:59:59Z"},
            "contact-info": "sts-reporting@company-x.example",
            "report-id": "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
            "policies": list(policies) or [policy()], **other}


def text(r):
    return json.dumps(r, indent=1)


def mail(data, kind="application/tlsrpt+gzip", how="base64", lines="\n"):
    """RFC 8460 5.3; data is encoded already."""
    head = ["From sender@company-x.example  Wed Apr  1 00:10:00 2026",
            "From: tlsrpt@company-x.example", "To: tlsrpt@example.org",
            "Subject: Report Domain: example.org Submitter: company-x.example",
            "TLS-Report-Domain: example.org", "MIME-Version: 1.0",
            'content-type: multipart/report; report-type="tlsrpt";',
            '\tboundary="----=_Next; \\"1\\""', "", "This is MIME.",
            '------=_Next; "1"', "Content-Type: text/plain; charset=us-ascii",
            "", '{ "not": "the report" }', "",
            '------=_Next; "1"', "Content-Type: " + kind + ";",
            ' name="company-x!example.org!1.json.gz"',
            "Content-Transfer-Encoding: " + how, "", data,
            '------=_Next; "1"--', "behind it"]
    return lines.join(head) + lines


def b64(data):
    return base64.encodebytes(data).decode()


def good(r, code=1):
    same((r.code, r.err), (code, ""), r.out)
    return r.out


def bad(part, *args, **more):
    """Exit 2, and the reason on standard error; nothing is printed."""
    r = run("report", *args, **more)
    same((r.code, r.out), (2, ""), r.err)
    has(r.err, part)
    j = run("report", "--json", *args, **more)
    same(j.code, 2)
    has(j.json["reports"][0]["error"], part)


TEXT = """\
Company-X, 2026-04-01T00:00:00Z to 2026-04-01T23:59:59Z: 5326 sessions good, \
303 failed
  contact sts-reporting@company-x.example report \
5065427c-23d3-47ca-b6e0-946ea0e8c4be
  policy sts of example.org: 5326 sessions good, 303 failed
    200 starttls-not-supported at mx2.mail.example.org (203.0.113.56 and \
others): https://reports.example.net/report_info
    100 certificate-expired at mx1.mail.example.org
    3 validation-failure at mx-backup.mail.example.org (203.0.113.58): \
X509_V_ERR_SIG
"""


def test_text():
    """report adds up a report's failures by kind and host, and is exit 1"""
    same(good(run("report", write("r.json", text(report())))), TEXT)


def test_gzip():
    """report takes gzip, a byte order mark, and standard input"""
    data = text(report())
    same(good(run("report", write("r.json.gz", gzip.compress(
        data.encode())))), TEXT)
    same(good(run("report", write("r.bom", "\ufeff" + data))), TEXT)
    same(good(run("report", stdin=data)), TEXT)
    same(good(run("report", "-", stdin=data)), TEXT)


def test_mail():
    """report finds the enclosure of a mail, however it is encoded"""
    data = text(report()).encode()
    packed = b64(gzip.compress(data))
    quoted = quopri.encodestring(data).decode()
    for m in (mail(packed), mail(packed.replace("\n", "\r\n"), lines="\r\n"),
              mail(packed, "application/gzip", "BASE64 (of course)"),
              mail(b64(data), "application/tlsrpt+json"),
              mail(quoted, "application/tlsrpt+json", "quoted-printable"),
              mail(data.decode(), "application/json", "7bit"),
              mail(packed)[:-29]):
        same(good(run("report", stdin=m)), TEXT, m)
    single = "Content-Type: application/tlsrpt+json\n\n" + data.decode()
    same(good(run("report", stdin=single)), TEXT)
    forwarded = ("Content-Type: multipart/mixed; boundary=b\n\n--b\n"
                 "Content-Type: message/rfc822\n\n" +
                 mail(packed).split("\n", 1)[1] + "\n--b--\n")
    same(good(run("report", stdin=forwarded)), TEXT)


def test_nothing_failed():
    """report of nothing but successes is two lines, a policy's, and exit 0"""
    r = report(policy(12, [], "no-policy-found"))
    del r["policies"][0]["failure-details"]
    lines = good(run("report", stdin=text(r)), 0).splitlines()
    same(len(lines), 3)
    same(lines[2], "  policy no-policy-found of example.org: "
         "12 sessions good, 0 failed")


def test_ten_lines():
    """report prints ten lines at most, the worst first, and says what is
    left out"""
    many = [{"result-type": "r%d" % i, "receiving-mx-hostname": "mx%d" % i,
             "failed-session-count": i} for i in range(1, 31)]
    r = report(policy(1, [], domain="fine.example"),
               policy(1, many, domain="worst.example"),
               policy(1, many[:2], domain="bad.example"))
    lines = good(run("report", stdin=text(r))).splitlines()
    same(len(lines), 10, lines)
    has(lines[2], "worst.example")
    has(lines[3], "    30 r30 at mx30")
    # 3 policies, 32 failures, 7 of these lines are there
    same(lines[9], "  and 28 lines more: --json has all")
    r = report(policy(1, many[:7]))
    same(len(good(run("report", stdin=text(r))).splitlines()), 10)


def test_json():
    """report --json is one object with every detail of every file"""
    a, b = write("a", text(report())), write("b", text(report(
        policy(1, [], "tlsa"))))
    r = run("report", "--json", a, b)
    same(r.code, 1)
    first, second = r.json["reports"]
    same((first["file"], first["good"], first["failed"], second["failed"]),
         (a, 5326, 303, 0))
    same(second["policies"][0]["type"], "tlsa")
    found = first["policies"][0]["failures"]
    same(sorted(f["sessions"] for f in found), [3, 50, 100, 150])
    same([f for f in found if f["sessions"] == 3][0],
         {"result": "validation-failure", "sessions": 3,
          "host": "mx-backup.mail.example.org", "address": "203.0.113.58",
          "helo": "mx-backup.example.org", "from": "198.51.100.62",
          "reason": "X509_V_ERR_SIG", "information": None})


def test_others_go_on():
    """report: one bad file is exit 2, and the others are printed"""
    fine = write("fine", text(report()))
    r = run("report", write("not", "{"), fine, "/nonexistent")
    same((r.code, r.out), (2, TEXT))
    has(r.err, "/nonexistent: No such file")
    same(len(run("report", "--json", "/nonexistent", fine).json["reports"]), 2)


def test_no_report():
    """report refuses what is no report, and says why"""
    whole = report()
    bad("no TLS report", stdin="")
    bad("no TLS report", stdin="Subject: hello\n\nhello\n")
    bad("no JSON", stdin="{")
    bad("no JSON", stdin=text(whole) + "}")
    bad("no JSON", stdin='{"policies":1,"policies":[]}')
    bad("no policies", stdin="{}")
    bad("no policies", stdin=text(report(policies=[])))
    bad("no policies", stdin=text(report(policies={"policy": 1})))
    bad("policy-type", stdin=text(report(policies=[{}])))
    bad("neither gzip nor JSON", stdin=mail(b64(b"PK\3\4")))
    for key, value in (("total-successful-session-count", -1),
                       ("total-failure-session-count", "3"),
                       ("total-failure-session-count", 10 ** 15)):
        r = report()
        r["policies"][0]["summary"][key] = value
        bad("summary", stdin=text(r))
    r = report(policy(1, [{"failed-session-count": 1}]))
    bad("result-type", stdin=text(r))
    r = report()
    r["policies"][0]["failure-details"][0]["failed-session-count"] = 1.5
    bad("failed-session-count", stdin=text(r))


def test_bounds():
    """report bears what is too large, too deep, packed too often, cut short"""
    bad("too large", stdin='{"a":[' + "{}," * 60000 + "{}]}")
    bad("too large", stdin='{"a":[' + "1," * 600000 + "1]}")
    bad("no JSON", stdin='{"a":' + "[" * 40000)
    bomb = gzip.compress(b"{" + b" " * (17 << 20))
    bad("more than 16 MiB", write("bomb", bomb))
    half = gzip.compress(b"{" + b" " * (9 << 20) + b"}")
    part = ("--b\nContent-Type: application/gzip\n"
            "Content-Transfer-Encoding: base64\n\n%s\n" % b64(half))
    m = "Content-Type: multipart/mixed; boundary=b\n\n%s%s--b--\n"
    r = run("report", stdin=m % (part, part))
    same(r.code, 2)
    has(r.err, "more than 16 MiB")
    one = "--b\nContent-Type: application/json\n\n{}\n"
    r = run("report", stdin=m % (one * 300, ""))
    same(r.code, 2)
    has(r.err, "more than 100 reports")
    same(r.err.count("\n"), 101)
    bad("cut short", write("half", gzip.compress(text(report()).encode())
                           [:-9]))
    bad("longer than 16 MiB", write("long", b"{" + b" " * (17 << 20)))
    nested = "".join("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" %
                     (i, i) for i in range(5000))
    bad("no TLS report", stdin=nested)


def test_terminal():
    """report prints no control character, one line, and cuts what is long"""
    r = report(policy(1, [dict(FAILURES[0], **{
        "result-type": "a\u001b[2J\nb\u009bc",
        "additional-information": "\u00e4" * 5000})]),
        **{"organization-name": "x\r\ny"})
    out = good(run("report", stdin=text(r)))
    same(len(out.splitlines()), 4, out)
    assert "\x1b" not in out and "\u009b" not in out and "\r" not in out, out
    has(out, "x??y, ")
    has(out, "\u00e4" * 50 + "...\n")
    same(run("report", stdin=text(report()).replace(
        "Company-X", "a\\u0000b")).code, 2)


def test_no_module():
    """report needs no module and no configuration; options are checked"""
    name = write("r.json", text(report()))
    same(run("report", name, module=False,
             env={"PATH": os.environ["PATH"]}).code, 1)
    same(run("report", name, "--all").code, 2)
    same(run("report", name, "--all").out, "")


def test_example():
    """report prints what examples/receiving/README shows"""
    r = report(policy(5326, [
        {"result-type": "certificate-expired", "failed-session-count": 303,
         "receiving-mx-hostname": "mx.example.org",
         "receiving-ip": "192.0.2.25"}], "tlsa"))
    lines = good(run("report", stdin=text(r))).splitlines()
    del lines[1]                        # contact and id
    with open(EXAMPLE, encoding="utf-8") as f:
        has(" ".join(f.read().split()), " ".join(" ".join(lines).split()))
