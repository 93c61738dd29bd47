/* SPDX-License-Identifier: ISC */
/*
 * policy.c and decide.c against a world written down as text.  One lookup a
 * line:
 *
 *	NAME TYPE STATE [nx] [^DNAME] [>ALIAS]... [RECORD]...
 *
 * STATE: S secure, I insecure, E error, B bogus with content.  A line with
 * "!" before it must not be asked, all others must be.  AAAA that is not
 * mentioned is a secure "no".  TLSA records are U.S.M with a sound digest,
 * or U.S.M.bad with a short one.  ^DNAME: the first alias was made from it.
 *
 * What a policy server says is "error", "none", or the patterns of a policy.
 *
 * The answer is compared as text, host by host:
 *	NAME[>TARGET.STATE]:ACTION[/WOULD](BASE|NAMES)[sts]@ADDRESSES
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>

#include "title.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct test {
	const char *id; /* what it shows, and of which rules */
	const char *world;
	const char *want;
	enum danevirke_level level;
	enum danevirke_action insecure_mx; /* 0: dane */
	bool relay;
	const char *self;   /* this address is ours */
	const char *domain; /* NULL: "d" */
	bool excepted;
	const char *sts; /* NULL: MTA-STS is off */
};

#define TLSA1 "_25._tcp.mx1 TLSA S 3.1.1"
#define A1 "mx1 A S 192.0.2.1\n"
#define NO_TLSA1 "_25._tcp.mx1 TLSA S\n"
/* 65 octets that take four times as many to write */
#define WILD16 "!!!!!!!!!!!!!!!!"
#define WILD WILD16 WILD16 "." WILD16 WILD16 ".!"
#define LEVEL(l) DANEVIRKE_LEVEL_##l
/* _25._tcp. before FITS has 255 octets, before LONG one more */
#define L60 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefgh"
#define FITS "a" L60 "." L60 "." L60 "." L60
#define LONG "b" FITS

static const struct test tests[] = {
	/* T01, B07, M08, S01, N02, N03 */
	{ "a secure usable record authenticates by its base (B07 T01)",
	    "d MX S 10.mx1\n" A1 TLSA1, "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1" },
	{ "both families of addresses are used (T01)",
	    "d MX S 10.mx1\n" A1 "mx1 AAAA S 2001:db8::1\n" TLSA1,
	    "ROUTE mx1:auth(mx1|mx1,d)@2001:db8::1,192.0.2.1" },
	{ "a record of an unsupported usage requires TLS (T03 T05)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA S 0.1.1",
	    "ROUTE mx1:encrypt(mx1|mx1,d)@192.0.2.1" },
	{ "a malformed record requires TLS (T03)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA S 3.1.1.bad",
	    "ROUTE mx1:encrypt(mx1|mx1,d)@192.0.2.1" },
	{ "a malformed 512 beside a good 256: the good one counts (A03)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA S 3.1.2.bad 3.1.1",
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1" },
	{ "no TLSA record is opportunistic TLS (T04)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA S",
	    "ROUTE mx1:opp(-|)@192.0.2.1" },
	{ "no such TLSA name is opportunistic TLS (T04)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA S nx",
	    "ROUTE mx1:opp(-|)@192.0.2.1" },
	/* a name that cannot exist has no records */
	{ "a TLSA name longer than a name can be has no records (T04)",
	    "d MX S 10." LONG "\n" LONG " A S 192.0.2.1",
	    "ROUTE " LONG ":opp(-|)@192.0.2.1" },
	{ "a TLSA name just short enough is asked for (T04)",
	    "d MX S 10." FITS "\n" FITS " A S 192.0.2.1\n"
	    "_25._tcp." FITS " TLSA E",
	    "DEFER " FITS ":defer(-|)@192.0.2.1" },
	{ "a TLSA name too long, insecure host: opportunistic TLS (T04)",
	    "d MX S 10." LONG "\n" LONG " A I 192.0.2.1",
	    "ROUTE " LONG ":opp(-|)@192.0.2.1" },
	{ "dane-only waits at a TLSA name too long (T06)",
	    "d MX S 10." LONG "\n" LONG " A S 192.0.2.1",
	    "DEFER/ROUTE " LONG ":defer/opp(-|)@192.0.2.1", LEVEL(DANE_ONLY) },
	{ "a target too long: the alias's records count (B09 T04)",
	    "d MX S 10.mx1\nmx1 A S >" LONG " 192.0.2.1\n" TLSA1,
	    "ROUTE mx1>" LONG ".S:auth(mx1|mx1,d)@192.0.2.1" },
	{ "an alias too long: the target's records count (B09 T04)",
	    "d MX S 10." LONG "\n" LONG " A S >mx1 192.0.2.1\n" TLSA1,
	    "ROUTE " LONG ">mx1.S:auth(mx1|mx1,d)@192.0.2.1" },
	{ "target and alias too long: opportunistic TLS (B09 T04)",
	    "d MX S 10." LONG "\n" LONG " A S >" LONG "x 192.0.2.1",
	    "ROUTE " LONG ">" LONG "x.S:opp(-|)@192.0.2.1" },
	{ "insecure TLSA records are opportunistic TLS (Q05 T04)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA I 3.1.1",
	    "ROUTE mx1:opp(-|)@192.0.2.1" },
	/* D03, D08: ERROR is never "no record" */
	{ "a TLSA lookup that fails makes the host wait (D08)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA E",
	    "DEFER mx1:defer(-|)@192.0.2.1" },
	{ "TLSA records in a bogus answer make the host wait (D08)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA B 3.1.1",
	    "DEFER mx1:defer(-|)@192.0.2.1" },
	{ "TLSA fails for one host: the other is used (D08)",
	    "d MX S 10.mx1 20.mx2\n" A1 "_25._tcp.mx1 TLSA E\n"
	    "mx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S",
	    "ROUTE mx1:defer(-|)@192.0.2.1 mx2:opp(-|)@192.0.2.2" },
	{ "an MX lookup that fails: mail waits (D06 D09)", "d MX E", "DEFER" },
	{ "hosts of a bogus MX are not asked for (D06)",
	    "d MX B 10.mx1\n!mx1 A S 192.0.2.1", "DEFER" },
	{ "no such domain, secure, is an answer (D04)", "d MX S nx",
	    "NO_DOMAIN" },
	{ "no such domain, insecure, is an answer (D04)", "d MX I nx",
	    "NO_DOMAIN insecure-mx" },
	{ "no such domain, bogus, is an error (D06)", "d MX B nx", "DEFER" },
	/* D07, B04, B06 */
	{ "A and AAAA fail: the host waits (D07)",
	    "d MX S 10.mx1\nmx1 A E\nmx1 AAAA E\n!" TLSA1,
	    "DEFER mx1:defer(-|)@" },
	{ "A fails and there is no AAAA: the host waits (D07)",
	    "d MX S 10.mx1\nmx1 A E\nmx1 AAAA S\n!" TLSA1,
	    "DEFER mx1:defer(-|)@" },
	{ "one host's addresses fail: the other is used (D07)",
	    "d MX S 10.mx1 20.mx2\nmx1 A E\nmx1 AAAA E\n"
	    "mx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S 3.1.1",
	    "ROUTE mx1:defer(-|)@ mx2:auth(mx2|mx2,d)@192.0.2.2" },
	{ "no address: TLSA is not asked for (B04)",
	    "d MX S 10.mx1\nmx1 A S\nmx1 AAAA S\n!" TLSA1,
	    "DEFER mx1:defer(-|)@" },
	{ "a broken AAAA denial does not hurt (B06)",
	    "d MX S 10.mx1\n" A1 "mx1 AAAA E\n" TLSA1,
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1" },
	{ "an insecure A beside a secure AAAA: only that is used (B06)",
	    "d MX S 10.mx1\nmx1 A I 192.0.2.1\n"
	    "mx1 AAAA S 2001:db8::1\n" TLSA1,
	    "ROUTE mx1:auth(mx1|mx1,d)@2001:db8::1" },
	{ "an insecure A, and AAAA fails: no TLSA is asked for (B05 B06)",
	    "d MX S 10.mx1\nmx1 A I 192.0.2.1\n"
	    "mx1 AAAA E\n!" TLSA1,
	    "ROUTE mx1:opp(-|)@192.0.2.1" },
	{ "insecure addresses: no TLSA is asked for (B05)",
	    "d MX S 10.mx1\nmx1 A I 192.0.2.1\nmx1 AAAA I\n!" TLSA1,
	    "ROUTE mx1:opp(-|)@192.0.2.1" },
	/* B08 - B13, D11, D12 */
	{ "a secure alias of an insecure target is the base (B08 D12)",
	    "d MX S 10.mx1\nmx1 A I >t 192.0.2.1\nmx1 CNAME S\n" TLSA1
	    "\n!_25._tcp.t TLSA S 3.1.1",
	    "ROUTE mx1>t.S:auth(mx1|mx1,d)@192.0.2.1" },
	{ "a secure alias without records is opportunistic TLS (B08)",
	    "d MX S 10.mx1\nmx1 A I >t 192.0.2.1\nmx1 CNAME S\n"
	    "_25._tcp.mx1 TLSA S",
	    "ROUTE mx1>t.S:opp(-|)@192.0.2.1" },
	{ "an alias that cannot be had makes the host wait (D12)",
	    "d MX S 10.mx1\nmx1 A I >t 192.0.2.1\nmx1 CNAME E\n!" TLSA1,
	    "DEFER mx1>t.E:defer(-|)@192.0.2.1" },
	/* D13: the library cannot tell of such an alias alone */
	{ "an alias made by a secure DNAME is the base (B08 D12 D13)",
	    "d MX S 10.h.g\nh.g A I ^g >h.t 192.0.2.1\n!h.g CNAME S\n"
	    "g DNAME S\n_25._tcp.h.g TLSA S >_25._tcp.h.t 3.1.1\n"
	    "!_25._tcp.h.t TLSA S 3.1.1",
	    "ROUTE h.g>h.t.S:auth(h.g|h.g,d)@192.0.2.1" },
	{ "a secure DNAME, insecure TLSA: opportunistic TLS (B08 D13)",
	    "d MX S 10.h.g\nh.g A I ^g >h.t 192.0.2.1\n"
	    "g DNAME S\n_25._tcp.h.g TLSA I >_25._tcp.h.t 3.1.1",
	    "ROUTE h.g>h.t.S:opp(-|)@192.0.2.1" },
	{ "an insecure DNAME: no TLSA is asked for (B10 D13)",
	    "d MX S 10.h.g\nh.g A I ^g >h.t 192.0.2.1\n"
	    "g DNAME I\n!_25._tcp.h.g TLSA S 3.1.1",
	    "ROUTE h.g>h.t.I:opp(-|)@192.0.2.1" },
	{ "a DNAME that cannot be had makes the host wait (D08 D12 D13)",
	    "d MX S 10.h.g\nh.g A I ^g >h.t 192.0.2.1\n"
	    "g DNAME E\n!_25._tcp.h.g TLSA S 3.1.1",
	    "DEFER h.g>h.t.E:defer(-|)@192.0.2.1" },
	{ "the expanded name comes first, the others are not asked (B09)",
	    "d MX S 10.mx1\nmx1 A S >m >t 192.0.2.1\n"
	    "_25._tcp.t TLSA S 3.1.1\n!" TLSA1 "\n!_25._tcp.m TLSA S 3.1.1",
	    "ROUTE mx1>t.S:auth(t|t,d)@192.0.2.1" },
	{ "the original name is second, the middle never (B09 B11)",
	    "d MX S 10.mx1\nmx1 A S >m >t 192.0.2.1\n"
	    "_25._tcp.t TLSA S\n" TLSA1 "\n!_25._tcp.m TLSA S 3.1.1",
	    "ROUTE mx1>t.S:auth(mx1|mx1,d)@192.0.2.1" },
	{ "insecure records of the expanded name: the original (B09 Q04)",
	    "d MX S 10.mx1\nmx1 A S >t 192.0.2.1\n"
	    "_25._tcp.t TLSA I 3.1.1\n" TLSA1,
	    "ROUTE mx1>t.S:auth(mx1|mx1,d)@192.0.2.1" },
	{ "an insecure alias: no TLSA is asked for (B10 D11)",
	    "d MX S 10.mx1\nmx1 A I >t 192.0.2.1\nmx1 CNAME I\n!" TLSA1,
	    "ROUTE mx1>t.I:opp(-|)@192.0.2.1" },
	{ "an error at the expanded name ends the search (B12)",
	    "d MX S 10.mx1\nmx1 A S >t 192.0.2.1\n_25._tcp.t TLSA E\n!" TLSA1,
	    "DEFER mx1>t.S:defer(-|)@192.0.2.1" },
	{ "an unusable record at the expanded name decides (B13)",
	    "d MX S 10.mx1\nmx1 A S >t 192.0.2.1\n_25._tcp.t TLSA S 1.1.1\n!" TLSA1,
	    "ROUTE mx1>t.S:encrypt(t|t,d)@192.0.2.1" },
	{ "an alias of the TLSA name changes no base (Q02 Q03)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA S >x 3.1.1",
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1" },
	/* M02, M03, M09, N03 */
	{ "a host without records does not weaken the other (M01 M09)",
	    "d MX S 10.mx1 20.mx2\n" A1 "_25._tcp.mx1 TLSA S\n"
	    "mx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S 3.1.1",
	    "ROUTE mx1:opp(-|)@192.0.2.1 mx2:auth(mx2|mx2,d)@192.0.2.2" },
	{ "hosts are sorted by preference (M02)",
	    "d MX S 20.mx2 10.mx1\n" A1 TLSA1 "\n"
	    "mx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S",
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1 mx2:opp(-|)@192.0.2.2" },
	{ "a host that is listed twice is one (M02)",
	    "d MX S 20.mx1 10.mx1\n" A1 TLSA1,
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1" },
	{ "an alias of the domain: both names are accepted (M03 N03)",
	    "d MX S >e 10.mx1\n" A1 TLSA1,
	    "ROUTE mx1:auth(mx1|mx1,d,e)@192.0.2.1" },
	/* M04 - M07, N04 */
	{ "insecure MX: the base alone is accepted (M04 M06 N04)",
	    "d MX I 10.mx1\n" A1 TLSA1,
	    "ROUTE insecure-mx mx1:auth(mx1|mx1)@192.0.2.1" },
	{ "insecure MX, encrypt: TLS is required (M04)",
	    "d MX I 10.mx1\n" A1 TLSA1,
	    "ROUTE insecure-mx mx1:encrypt(mx1|mx1)@192.0.2.1",
	    .insecure_mx = DANEVIRKE_ENCRYPT },
	{ "insecure MX, may: no TLSA is asked for (M04)",
	    "d MX I 10.mx1\n" A1 "!" TLSA1,
	    "ROUTE insecure-mx mx1:opp(-|)@192.0.2.1",
	    .insecure_mx = DANEVIRKE_OPPORTUNISTIC },
	{ "insecure MX, may: no alias is asked for (M04)",
	    "d MX I 10.mx1\nmx1 A I >t 192.0.2.1\n!mx1 CNAME S\n!" TLSA1,
	    "ROUTE insecure-mx mx1>t.E:opp(-|)@192.0.2.1",
	    .insecure_mx = DANEVIRKE_OPPORTUNISTIC },
	{ "insecure MX: a TLSA lookup that fails makes the host wait (M04)",
	    "d MX I 10.mx1\n" A1 "_25._tcp.mx1 TLSA E",
	    "DEFER insecure-mx mx1:defer(-|)@192.0.2.1" },
	{ "dane-only waits where the MX is insecure (M07)",
	    "d MX I 10.mx1\n" A1 TLSA1,
	    "DEFER/ROUTE insecure-mx mx1:defer/auth(mx1|mx1)@192.0.2.1",
	    LEVEL(DANE_ONLY) },
	{ "dane-only waits where the MX is insecure and may (M07)",
	    "d MX I 10.mx1\n" A1,
	    "DEFER/ROUTE insecure-mx mx1:defer/opp(-|)@192.0.2.1",
	    LEVEL(DANE_ONLY), .insecure_mx = DANEVIRKE_OPPORTUNISTIC },
	/* T06 */
	{ "dane-only delivers to a host with usable records (T06)",
	    "d MX S 10.mx1\n" A1 TLSA1, "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1",
	    LEVEL(DANE_ONLY) },
	{ "dane-only waits where there is no TLSA (T06)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA S",
	    "DEFER/ROUTE mx1:defer/opp(-|)@192.0.2.1", LEVEL(DANE_ONLY) },
	{ "dane-only waits where TLSA fails (T06)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA E",
	    "DEFER mx1:defer(-|)@192.0.2.1", LEVEL(DANE_ONLY) },
	{ "dane-only waits where no record is usable (T06)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA S 0.0.1",
	    "DEFER/ROUTE mx1:defer/encrypt(mx1|mx1,d)@192.0.2.1",
	    LEVEL(DANE_ONLY) },
	{ "dane-only passes over a host without TLSA (T06)",
	    "d MX S 10.mx1 20.mx2\n" A1
	    "_25._tcp.mx1 TLSA S\nmx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S 3.1.1",
	    "ROUTE mx1:defer/opp(-|)@192.0.2.1 mx2:auth(mx2|mx2,d)@192.0.2.2",
	    LEVEL(DANE_ONLY) },
	/* B01, B02, N05 */
	{ "without MX the domain is its own host (B02)",
	    "d MX S\nd A S 192.0.2.1\n_25._tcp.d TLSA S 3.1.1",
	    "ROUTE implicit d:auth(d|d)@192.0.2.1" },
	{ "without MX the original name is accepted as well (B02 N05)",
	    "d MX S >e\nd A S >e 192.0.2.1\n_25._tcp.e TLSA S 2.0.1",
	    "ROUTE implicit d>e.S:auth(e|e,d)@192.0.2.1" },
	{ "an insecure \"no MX\" is an insecure MX (B02 M04)",
	    "d MX I\nd A S 192.0.2.1\n"
	    "_25._tcp.d TLSA S 3.1.1",
	    "ROUTE insecure-mx implicit d:auth(d|d)@192.0.2.1" },
	{ "after an MX error the domain is no host (B02)",
	    "d MX E\n!d A S 192.0.2.1", "DEFER" },
	{ "without MX and address there is no such domain (B02)",
	    "d MX S\nd A S\nd AAAA S", "NO_DOMAIN implicit d:defer(-|)@" },
	{ "without MX, and its address fails: mail waits (B02)",
	    "d MX S\nd A E\nd AAAA S", "DEFER implicit d:defer(-|)@" },
	{ "a relay host is authenticated (B01)",
	    "d A S 192.0.2.1\n_25._tcp.d TLSA S 3.1.1",
	    "ROUTE d:auth(d|d)@192.0.2.1", .relay = true },
	{ "a relay host that is an alias: both names (B01 N05)",
	    "d A S >e 192.0.2.1\n"
	    "_25._tcp.e TLSA S 2.1.1",
	    "ROUTE d>e.S:auth(e|e,d)@192.0.2.1", .relay = true },
	{ "an insecure relay host: opportunistic TLS (B01)",
	    "d A I 192.0.2.1\nd AAAA I", "ROUTE d:opp(-|)@192.0.2.1",
	    .relay = true },
	{ "a relay host that does not exist: mail waits (B01)",
	    "d A S nx\nd AAAA S nx", "DEFER d:defer(-|)@", .relay = true },
	/* T07, T08 */
	{ "an address literal is opportunistic TLS (T07)", "",
	    "ROUTE 192.0.2.7:opp(-|)@192.0.2.7", .domain = "192.0.2.7" },
	{ "an IPv6 literal is opportunistic TLS (T07)", "",
	    "ROUTE 2001:db8::7:opp(-|)@2001:db8::7", .domain = "2001:db8::7" },
	{ "dane-only waits at an address literal (T07)", "",
	    "DEFER/ROUTE 192.0.2.7:defer/opp(-|)@192.0.2.7", LEVEL(DANE_ONLY),
	    .domain = "192.0.2.7" },
	{ "an MX that is an address has no DANE, the other has (T08)",
	    "d MX S 10.192.0.2.9 20.mx1\n" A1 TLSA1,
	    "ROUTE 192.0.2.9:opp(-|)@192.0.2.9 mx1:auth(mx1|mx1,d)@192.0.2.1" },
	/* Z01 - Z03 */
	{ "a null MX: the address is not asked for (Z01)",
	    "d MX S 0..\n!d A S 192.0.2.1", "NULL_MX" },
	{ "an insecure null MX is one (Z01)", "d MX I 0..\n!d A S 192.0.2.1",
	    "NULL_MX insecure-mx" },
	{ "a lone dot with another preference is a null MX (Z02)",
	    "d MX S 10..\n!d A S 192.0.2.1", "NULL_MX" },
	{ "a bogus null MX is an error (Z01)", "d MX B 0..", "DEFER" },
	{ "a dot beside another MX is ignored (Z03)",
	    "d MX S 0.. 10.mx1\n" A1 TLSA1,
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1" },
	/* a target that cannot be written down is no null MX: delay */
	{ "a target that cannot be written is no null MX (Z01)",
	    "d MX S 0." WILD "\n!d A S 192.0.2.1", "DEFER" },
	{ "a dot beside a target that cannot be written: mail waits (Z01)",
	    "d MX S 0.. 10." WILD "\n!d A S 192.0.2.1", "DEFER" },
	{ "beside a target that cannot be written others are tried (D07)",
	    "d MX S 5." WILD " 10.mx1\n" A1 TLSA1,
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1" },
	/* M10 */
	{ "we by an IPv4 address inside of IPv6 are dropped (M10)",
	    "d MX S 10.mx1 20.mx2\n" A1 TLSA1 "\n"
	    "mx2 A S\nmx2 AAAA S ::ffff:192.0.2.2\n_25._tcp.mx2 TLSA S",
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1", .self = "192.0.2.2" },
	{ "we and the hosts behind us are dropped (M10)",
	    "d MX S 10.mx1 20.mx2 30.mx3\n" A1 TLSA1 "\n"
	    "mx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S\n"
	    "mx3 A S 192.0.2.3\n_25._tcp.mx3 TLSA S",
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1", .self = "192.0.2.2" },
	{ "we alone at the front is a loop (M10)",
	    "d MX S 10.mx1 20.mx2\n" A1 TLSA1 "\n"
	    "mx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S",
	    "LOOP", .self = "192.0.2.1" },
	{ "hosts of our own preference are dropped: a loop (M10)",
	    "d MX S 10.mx1 10.mx2 20.mx3\n" A1 TLSA1 "\n"
	    "mx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S\n"
	    "mx3 A S 192.0.2.3\n_25._tcp.mx3 TLSA S",
	    "LOOP", .self = "192.0.2.2" },
	/* M11 */
	{ "more hosts than the limit are an error (M11)",
	    "d MX S 1.a 2.b 3.c 4.d 5.e\n!a A S 192.0.2.1", "DEFER" },
	{ "more records than the limit make the host wait (M11)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA S 3.1.1 3.1.1 3.1.1 3.1.1",
	    "DEFER mx1:defer(-|)@192.0.2.1" },
	{ "more addresses than the limit make the host wait (M11)",
	    "d MX S 10.mx1\nmx1 A S 192.0.2.1 192.0.2.2 192.0.2.3 "
	    "192.0.2.4 192.0.2.5\n" TLSA1,
	    "DEFER mx1:defer(-|)@" },
	/* M12 */
	{ "a loopback address beside another is dropped (M12)",
	    "d MX S 10.mx1\nmx1 A S 127.0.0.1 192.0.2.1\n"
	    "mx1 AAAA S ::1\n" TLSA1,
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1" },
	{ "a host of unusable addresses only waits (M12)",
	    "d MX S 10.mx1\nmx1 A S 0.0.0.0 169.254.1.1 224.0.0.1\n"
	    "mx1 AAAA S ::\n" TLSA1,
	    "DEFER mx1:defer(-|)@" },
	{ "loopback and link-local in IPv6 are dropped (M12)",
	    "d MX S 10.mx1\nmx1 A S\n"
	    "mx1 AAAA S ::ffff:127.0.0.1 fe80::1 ff02::1\n" TLSA1,
	    "DEFER mx1:defer(-|)@" },
	{ "an address of the relay's range is dropped (M12)",
	    "d MX S 10.mx1\nmx1 A S 127.64.0.9\n" TLSA1,
	    "DEFER mx1:defer(-|)@" },
	{ "a loopback address that is allowed is used (M12)",
	    "d MX S 10.mx1\nmx1 A S 127.9.9.9\n" TLSA1,
	    "ROUTE mx1:auth(mx1|mx1,d)@127.9.9.9" },
	/* P01, P02 */
	{ "audit: delivered, and what it would be (P02)",
	    "d MX S 10.mx1\n" A1 TLSA1,
	    "ROUTE mx1:opp/auth(mx1|mx1,d)@192.0.2.1", LEVEL(AUDIT) },
	{ "audit: TLSA fails, delivered, and would be deferred (P02)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA E",
	    "ROUTE/DEFER mx1:opp/defer(-|)@192.0.2.1", LEVEL(AUDIT) },
	{ "audit: a bogus MX is used as an insecure one (P02)",
	    "d MX B 10.mx1\n" A1 TLSA1,
	    "ROUTE/DEFER insecure-mx mx1:opp/auth(mx1|mx1)@192.0.2.1",
	    LEVEL(AUDIT) },
	{ "audit: a bogus address is used (P02)",
	    "d MX S 10.mx1\nmx1 A B 192.0.2.1\n"
	    "mx1 AAAA E\n!" TLSA1,
	    "ROUTE/DEFER mx1:opp/defer(-|)@192.0.2.1", LEVEL(AUDIT) },
	{ "audit: without any content mail waits (P02)", "d MX E", "DEFER",
	    LEVEL(AUDIT) },
	{ "audit: a bogus \"no such domain\" is no answer (P02)", "d MX B nx",
	    "DEFER", LEVEL(AUDIT) },
	{ "off: no TLSA is asked for (P02)", "d MX S 10.mx1\n" A1 "!" TLSA1,
	    "ROUTE mx1:opp(-|)@192.0.2.1", LEVEL(OFF) },
	{ "off: a bogus MX is used (P02)",
	    "d MX B 10.mx1\nmx1 A B 192.0.2.1\n!" TLSA1,
	    "ROUTE/DEFER insecure-mx mx1:opp(-|)@192.0.2.1", LEVEL(OFF) },
	{ "an exception: delivered, and what it would be (P01 P03)",
	    "d MX S 10.mx1\n" A1 TLSA1,
	    "ROUTE exception mx1:opp/auth(mx1|mx1,d)@192.0.2.1", LEVEL(AUDIT),
	    .excepted = true },
	/* MTA-STS; "?": there is no answer */
	{ "a host that the policy names is authenticated (H03)",
	    "d MX S 10.mx1\n" A1 NO_TLSA1,
	    "ROUTE mx1:auth(mx1|mx1)sts@192.0.2.1", .sts = "mx2 mx1" },
	{ "case does not count in a policy (H03)",
	    "d MX S 10.mx1\n" A1 NO_TLSA1,
	    "ROUTE mx1:auth(mx1|mx1)sts@192.0.2.1", .sts = "MX1" },
	{ "a host that it does not name is not used (H03)",
	    "d MX S 10.mx1\n" A1 NO_TLSA1, "DEFER mx1:defer(-|)@192.0.2.1",
	    .sts = "mx2 mx11 x1 m" },
	{ "an asterisk is one label (H03)",
	    "d MX S 10.a.e\na.e A S 192.0.2.1\n_25._tcp.a.e TLSA S",
	    "ROUTE a.e:auth(a.e|a.e)sts@192.0.2.1", .sts = "*.e" },
	{ "an asterisk is not two labels (H03)",
	    "d MX S 10.b.a.e\nb.a.e A S 192.0.2.1\n_25._tcp.b.a.e TLSA S",
	    "DEFER b.a.e:defer(-|)@192.0.2.1", .sts = "*.e" },
	{ "an asterisk is not no label (H03)",
	    "d MX S 10.e.f\ne.f A S 192.0.2.1\n_25._tcp.e.f TLSA S",
	    "DEFER e.f:defer(-|)@192.0.2.1", .sts = "*.e.f *" },
	{ "of two hosts only the one that is named is used (H03)",
	    "d MX S 10.mx1 20.mx2\n" A1 NO_TLSA1
	    "mx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S",
	    "ROUTE mx1:defer(-|)@192.0.2.1 mx2:auth(mx2|mx2)sts@192.0.2.2",
	    .sts = "mx2" },
	{ "an MX host that is an address is named by no policy (H03 T08)",
	    "d MX S 10.192.0.2.9", "DEFER 192.0.2.9:defer(-|)@192.0.2.9",
	    .sts = "mx1" },
	{ "a policy counts below an insecure MX (H03)",
	    "d MX I 10.mx1\nmx1 A I 192.0.2.1\nmx1 AAAA I",
	    "ROUTE insecure-mx mx1:auth(mx1|mx1)sts@192.0.2.1", .sts = "mx1" },
	{ "a policy counts where nobody looks for DANE (H03 M04)",
	    "d MX I 10.mx1\n" A1 "!" TLSA1,
	    "ROUTE insecure-mx mx1:auth(mx1|mx1)sts@192.0.2.1",
	    .insecure_mx = DANEVIRKE_OPPORTUNISTIC, .sts = "mx1" },
	{ "without MX the domain is what is named (H03)",
	    "d MX S\nd A S 192.0.2.1\n_25._tcp.d TLSA S",
	    "ROUTE implicit d:auth(d|d)sts@192.0.2.1", .sts = "d" },
	{ "insecure TLSA records change nothing (H01 Q05)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA I 3.1.1",
	    "ROUTE mx1:auth(mx1|mx1)sts@192.0.2.1", .sts = "mx1" },
	{ "no policy is as before (H05)", "d MX S 10.mx1\n" A1 NO_TLSA1,
	    "ROUTE mx1:opp(-|)@192.0.2.1", .sts = "none" },
	{ "an unknown policy waits (H05 P05)", "d MX S 10.mx1\n" A1 NO_TLSA1,
	    "DEFER mx1:defer(-|)@192.0.2.1", .sts = "error" },
	{ "no answer is an unknown policy (H05 P05)",
	    "d MX S 10.mx1\n" A1 NO_TLSA1, "DEFER mx1:defer(-|)@192.0.2.1",
	    .sts = "?" },
	{ "a policy does not touch a host with DANE (H01)",
	    "d MX S 10.mx1\n" A1 TLSA1, "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1",
	    .sts = "mx2" },
	{ "an unknown policy does not touch a host with DANE (H01 H02)",
	    "d MX S 10.mx1\n" A1 TLSA1, "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1",
	    .sts = "?" },
	{ "a policy does not touch a host with unusable records (H01)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA S 0.1.1",
	    "ROUTE mx1:encrypt(mx1|mx1,d)@192.0.2.1", .sts = "mx2" },
	{ "a policy does not help a host whose TLSA lookup failed (H01 P05)",
	    "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA E",
	    "DEFER mx1:defer(-|)@192.0.2.1", .sts = "mx1" },
	{ "a policy does not help a host whose alias failed (H01 P05)",
	    "d MX S 10.mx1\nmx1 A I >t 192.0.2.1\nmx1 CNAME E\n!" TLSA1,
	    "DEFER mx1>t.E:defer(-|)@192.0.2.1", .sts = "mx1" },
	{ "each host has its own way (H01 M01)",
	    "d MX S 10.mx1 20.mx2\n" A1 TLSA1
	    "\nmx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S",
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1 "
	    "mx2:auth(mx2|mx2)sts@192.0.2.2",
	    .sts = "mx2" },
	{ "beside DANE an unknown policy stops its own hosts only (H05)",
	    "d MX S 10.mx1 20.mx2\n" A1 TLSA1
	    "\nmx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S",
	    "ROUTE mx1:auth(mx1|mx1,d)@192.0.2.1 mx2:defer(-|)@192.0.2.2",
	    .sts = "error" },
	{ "beside a host left to chance unusable records stand (H01)",
	    "d MX S 10.mx1 20.mx2\n" A1 "_25._tcp.mx1 TLSA S 0.1.1\n"
	    "mx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S",
	    "ROUTE mx1:encrypt(mx1|mx1,d)@192.0.2.1 "
	    "mx2:auth(mx2|mx2)sts@192.0.2.2",
	    .sts = "mx2" },
	{ "beside a host left to chance a failed lookup stands (H01 P05)",
	    "d MX S 10.mx1 20.mx2\n" A1 "_25._tcp.mx1 TLSA E\n"
	    "mx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S",
	    "ROUTE mx1:defer(-|)@192.0.2.1 mx2:auth(mx2|mx2)sts@192.0.2.2",
	    .sts = "mx1 mx2" },
	{ "audit says what the policy would do (H06 P02)",
	    "d MX S 10.mx1\n" A1 NO_TLSA1,
	    "ROUTE mx1:opp/auth(mx1|mx1)sts@192.0.2.1", LEVEL(AUDIT),
	    .sts = "mx1" },
	{ "audit says what the policy would stop (H06 P02)",
	    "d MX S 10.mx1\n" A1 NO_TLSA1,
	    "ROUTE/DEFER mx1:opp/defer(-|)@192.0.2.1", LEVEL(AUDIT),
	    .sts = "mx2" },
	{ "audit says that the policy is unknown (H06 P02)",
	    "d MX S 10.mx1\n" A1 NO_TLSA1,
	    "ROUTE/DEFER mx1:opp/defer(-|)@192.0.2.1", LEVEL(AUDIT),
	    .sts = "error" },
	{ "we behind a host that is not named are not tried (H03 M10)",
	    "d MX S 10.mx1 20.mx2\n" A1 NO_TLSA1
	    "mx2 A S 192.0.2.2\n_25._tcp.mx2 TLSA S",
	    "DEFER mx1:defer(-|)@192.0.2.1", .self = "192.0.2.2",
	    .sts = "mx2" },
	{ "a domain that takes no mail needs no policy (H02 Z01)", "d MX S 0..",
	    "NULL_MX", .sts = "?" },
};

/* ------------------------------------------------------------- the world */

static const struct {
	const char *name;
	int type;
} types[] = {
	{ "A", TYPE_A },
	{ "AAAA", TYPE_AAAA },
	{ "MX", TYPE_MX },
	{ "CNAME", TYPE_CNAME },
	{ "DNAME", TYPE_DNAME },
	{ "TLSA", TYPE_TLSA },
};

static size_t
wire_name(const char *s, uint8_t *out)
{
	size_t n = 0, len;

	while (*s != '\0' && strcmp(s, ".") != 0) {
		len = strcspn(s, ".");
		out[n++] = (uint8_t)len;
		memcpy(out + n, s, len);
		n += len;
		s += len + (s[len] == '.');
	}
	out[n++] = 0;
	return n;
}

static struct dns_rr
record(struct arena *a, int type, const char *text)
{
	uint8_t buf[600] = { 0 };
	unsigned u, s, m;
	size_t len = 0;
	char *p;

	switch (type) {
	case TYPE_A:
		assert_int_equal(inet_pton(AF_INET, text, buf), 1);
		len = 4;
		break;
	case TYPE_AAAA:
		assert_int_equal(inet_pton(AF_INET6, text, buf), 1);
		len = 16;
		break;
	case TYPE_MX:
		u = (unsigned)strtoul(text, &p, 10);
		buf[0] = (uint8_t)(u >> 8);
		buf[1] = (uint8_t)u;
		len = 2 + wire_name(p + 1, buf + 2);
		break;
	case TYPE_TLSA:
		if (*text == '#') { /* so many octets */
			memcpy(buf, "\3\1\1", 3);
			len = (size_t)(text[1] - '0');
			break;
		}
		assert_int_equal(sscanf(text, "%u.%u.%u", &u, &s, &m), 3);
		buf[0] = (uint8_t)u;
		buf[1] = (uint8_t)s;
		buf[2] = (uint8_t)m;
		len = 3 + (m == 2 ? 64 : 32) - (strstr(text, "bad") ? 1 : 0);
		break;
	}
	p = arena_alloc(a, len + 1);
	memcpy(p, buf, len);
	return (struct dns_rr){ (uint8_t *)p, len };
}

/* The line of a lookup, or NULL; *line is its number. */
static const char *
find(const char *world, const char *name, int type, unsigned *line)
{
	char want[300];
	const char *p;
	size_t i;

	for (i = 0; types[i].type != type; i++)
		;
	snprintf(want, sizeof want, "%s %s ", name, types[i].name);
	*line = 0;
	for (p = world; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
		if (strncmp(p, want, strlen(want)) == 0)
			return p + strlen(want);
		if (p[0] == '!' && strncmp(p + 1, want, strlen(want)) == 0)
			fail_msg("asked though it must not be: %s", want);
		(*line)++;
	}
	return NULL;
}

static const struct dns_result *
lookup(struct arena *a, const char *world, const char *name, int type,
    uint64_t *asked)
{
	struct dns_result *r = arena_alloc(a, sizeof *r);
	const char **names = arena_array(a, 10, sizeof *names);
	struct dns_rr *rr = arena_array(a, 20, sizeof *rr);
	char *text, *word, *save;
	const char *p;
	unsigned line;

	names[0] = arena_str(a, name);
	r->name = names;
	r->rr = rr;
	r->ttl = 100;
	r->why = "";
	if ((p = find(world, name, type, &line)) == NULL) {
		if (type != TYPE_AAAA)
			fail_msg("asked but not foreseen: %s %d", name, type);
		r->state = DANEVIRKE_SECURE;
		return r;
	}
	*asked |= UINT64_C(1) << line;
	text = arena_printf(a, "%.*s", (int)strcspn(p, "\n"), p);
	word = strtok_r(text, " ", &save);
	r->state = *word == 'S' ? DANEVIRKE_SECURE :
	    *word == 'I'        ? DANEVIRKE_INSECURE :
				  DANEVIRKE_ERROR;
	r->content = *word == 'B';
	if (r->state == DANEVIRKE_ERROR)
		r->why = "made to fail";
	while ((word = strtok_r(NULL, " ", &save)) != NULL) {
		if (strcmp(word, "nx") == 0)
			r->nxdomain = true;
		else if (*word == '^')
			r->dname = word + 1;
		else if (*word == '>')
			names[++r->n_alias] = word + 1;
		else
			rr[r->n_rr++] = record(a, type, word);
	}
	return r;
}

/* ------------------------------------------------------- answers as text */

static const char *
action_word(enum danevirke_action a)
{
	static const char *const word[] = { "defer", "opp", "encrypt", "auth" };

	return word[a];
}

static char *
answer_text(struct arena *a, const struct danevirke_answer *an)
{
	static const char *const word[] = { "DEFER", "ROUTE", "NULL_MX",
		"NO_DOMAIN", "LOOP" };
	char *s = arena_str(a, word[an->outcome]);
	size_t i, j;

	if (an->would != an->outcome)
		s = arena_printf(a, "%s/%s", s, word[an->would]);
	if (an->insecure_mx && an->state == DANEVIRKE_INSECURE)
		s = arena_printf(a, "%s insecure-mx", s);
	else if (an->insecure_mx && an->n_hosts > 0)
		s = arena_printf(a, "%s insecure-mx", s);
	if (an->implicit_mx)
		s = arena_printf(a, "%s implicit", s);
	if (an->exception != NULL)
		s = arena_printf(a, "%s exception", s);
	for (i = 0; i < an->n_hosts; i++) {
		const struct danevirke_host *h = an->hosts[i];

		s = arena_printf(a, "%s %s", s, h->name);
		if (h->target != NULL && strcmp(h->target, h->name) != 0)
			s = arena_printf(
			    a, "%s>%s.%c", s, h->target, "EIS"[h->alias_state]);
		s = arena_printf(a, "%s:%s", s, action_word(h->action));
		if (h->would != h->action)
			s = arena_printf(a, "%s/%s", s, action_word(h->would));
		s = arena_printf(a, "%s(%s|", s, h->base ? h->base : "-");
		for (j = 0; j < h->n_names; j++)
			s = arena_printf(
			    a, "%s%s%s", s, j ? "," : "", h->names[j]);
		s = arena_printf(
		    a, "%s)%s@", s, h->ca_file != NULL ? "sts" : "");
		for (j = 0; j < h->n_addrs; j++)
			s = arena_printf(
			    a, "%s%s%s", s, j ? "," : "", h->addrs[j].text);
	}
	return s;
}

static uint32_t
count_up(void *arg)
{
	return (*(uint32_t *)arg)++;
}

static const struct sts_result *
policy_result(struct arena *a, const char *text)
{
	struct sts_result *r = arena_alloc(a, sizeof *r);
	char *word, *save = NULL, *copy = arena_str(a, text);

	r->state = DANEVIRKE_MTA_STS_POLICY;
	if (strcmp(text, "none") == 0)
		r->state = DANEVIRKE_MTA_STS_NONE;
	if (strcmp(text, "error") == 0)
		sts_fail(a, "made to fail", r);
	if (r->state != DANEVIRKE_MTA_STS_POLICY)
		return r;
	r->mx = arena_array(a, 20, sizeof *r->mx);
	for (word = strtok_r(copy, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save))
		r->mx[r->n_mx++] = word;
	return r;
}

static struct danevirke_answer *
decide(struct arena *a, const struct test *t, uint64_t *asked)
{
	static struct conf_prefix allow = { 4, { 127, 9, 9, 9 }, 32 };
	static char cas[] = "/cas";
	static struct conf conf = {
		.limits = { .hosts = 4,
		    .addresses = 4,
		    .aliases = 8,
		    .records = 3 },
		.settings = { .relay_first = 0x7f400000,
		    .relay_last = 0x7f40ffff },
		.allow = &allow,
		.n_allow = 1,
		.sts = { .ca_file = cas },
	};
	static struct conf_destination rule = { .reason = (char *)"why" };
	struct conf_profile profile = { .pub = { .name = "default",
					    .level = t->level },
		.insecure_mx = t->insecure_mx ? t->insecure_mx :
						DANEVIRKE_AUTHENTICATE,
		.digests = { 2, 1 },
		.n_digests = 2 };
	struct conf_prefix self = { 4, { 0 }, 32 };
	struct facts f = { .domain = t->domain ? t->domain : "d",
		.port = 25,
		.level = t->level,
		.profile = &profile,
		.conf = &conf,
		.literal = t->domain != NULL,
		.local = &self };
	struct want want[2];
	uint32_t tie = 0;
	size_t i, n, h, rounds = 0;

	if (t->self != NULL)
		f.n_local = (size_t)inet_pton(AF_INET, t->self, self.ip);
	if (t->relay)
		f.kind = DANEVIRKE_RELAY;
	if (t->excepted)
		f.exception = &rule;
	if (!t->relay && !f.literal)
		f.mx = lookup(a, t->world, f.domain, TYPE_MX, asked);
	assert_true(policy_hosts(a, &f, count_up, &tie));
	for (h = 0; h < f.n_hosts; h++)
		while ((n = policy_next(a, &f, &f.hosts[h], want)) > 0) {
			assert_true(++rounds < 100);
			for (i = 0; i < n; i++)
				*want[i].slot = lookup(a, t->world,
				    want[i].name, want[i].type, asked);
		}
	f.sts_on = t->sts != NULL;
	if (f.sts_on)
		f.sts_on = policy_needs_sts(a, &f); /* H02 */
	if (f.sts_on && *t->sts != '?')
		f.sts = policy_result(a, t->sts);
	return policy_decide(a, &f);
}

static void
test_one(void **state)
{
	const struct test *t = *state;
	struct arena a = { NULL };
	struct danevirke_answer *an;
	uint64_t asked = 0;
	const char *p, *q;
	unsigned line = 0;

	an = decide(&a, t, &asked);
	assert_non_null(an);
	assert_string_equal(answer_text(&a, an), t->want);
	assert_true(*an->reason != '\0');
	for (p = t->world; *p != '\0'; p = q + (*q == '\n'), line++) {
		q = p + strcspn(p, "\n");
		if (*p != '!' && !(asked >> line & 1))
			fail_msg("never asked: %.*s", (int)(q - p), p);
	}
	if (an->outcome == DANEVIRKE_ROUTE || an->outcome == DANEVIRKE_DEFER)
		assert_true(an->ttl <= 86400);
	arena_free(&a);
}

/* M02: equal preferences come in the order of the random ties. */
static void
test_ties(void **state)
{
	static const struct test t = { "M02",
		"d MX S 10.mx1 10.mx2\n" A1 "mx2 A S 192.0.2.2\n" TLSA1
		"\n_25._tcp.mx2 TLSA S",
		"" };
	struct facts f = { .domain = "d", .port = 25 };
	struct conf conf = { .limits = { 4, 4, 4, 4 } };
	struct arena a = { NULL };
	uint64_t asked = 0;
	uint32_t up = 0, first[2];
	size_t i;

	(void)state;
	f.conf = &conf;
	f.mx = lookup(&a, t.world, "d", TYPE_MX, &asked);
	for (i = 0; i < 2; i++) {
		up = i == 0 ? 0 : UINT32_MAX; /* wraps: the second is less */
		assert_true(policy_hosts(&a, &f, count_up, &up));
		assert_int_equal(f.n_hosts, 2);
		first[i] = (uint32_t)(f.hosts[0].name[2] - '0');
	}
	assert_int_equal(first[0], 1);
	assert_int_equal(first[1], 2);
	arena_free(&a);
}

/* Zeroed facts and results defer: nothing is known. */
static void
test_zero(void **state)
{
	struct conf_profile profile = { .pub = { .name = "default" } };
	struct conf conf = { .limits = { 4, 4, 4, 4 } };
	struct dns_result none = { 0 };
	struct facts f = {
		.domain = "d", .port = 25, .conf = &conf, .profile = &profile
	};
	struct arena a = { NULL };
	struct danevirke_answer *an;

	(void)state;
	assert_non_null(an = policy_decide(&a, &f));
	assert_int_equal(an->outcome, DANEVIRKE_DEFER);
	f.mx = &none;
	assert_non_null(an = policy_decide(&a, &f));
	assert_int_equal(an->outcome, DANEVIRKE_DEFER);
	assert_int_equal(an->result, DANEVIRKE_DNSSEC_INVALID);
	arena_free(&a);
}

/* Q05: insecure records take no part, and are there to be shown. */
static void
test_insecure_tlsa(void **state)
{
	static const struct test t = { "Q05",
		"d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA I 3.1.1 2.0.1.bad",
		"" };
	const struct danevirke_host *h;
	struct danevirke_answer *an;
	struct arena a = { NULL };
	uint64_t asked = 0;
	size_t i;

	(void)state;
	assert_non_null(an = decide(&a, &t, &asked));
	h = an->hosts[0];
	assert_int_equal(h->action, DANEVIRKE_OPPORTUNISTIC);
	assert_int_equal(h->tlsa_state, DANEVIRKE_INSECURE);
	assert_int_equal(h->n_tlsa, 2);
	assert_null(h->base);
	for (i = 0; i < 2; i++) {
		assert_int_equal(h->tlsa[i].use, 0);
		assert_non_null(strstr(h->tlsa[i].why, "insecure"));
	}
	arena_free(&a);
}

/* What the fields beside the decision say: of a lookup that was made, and of
 * the one that is meant. */
static void
test_states(void **state)
{
	static const struct {
		const char *world;
		enum danevirke_dnssec addrs, tlsa;
		bool asked;
		size_t n_tlsa;
		const char *reason; /* part of it */
		enum danevirke_result result;
	} t[] = {
		{ "d MX S 10.mx1\n" A1 TLSA1, DANEVIRKE_SECURE,
		    DANEVIRKE_SECURE, true, 1, "1 usable of 1" },
		{ "d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA E", DANEVIRKE_SECURE,
		    DANEVIRKE_ERROR, true, 0, "TLSA lookup failed",
		    DANEVIRKE_DNSSEC_INVALID },
		{ "d MX S 10.mx1\n" A1
		  "_25._tcp.mx1 TLSA S 3.1.1 3.1.1 3.1.1 3.1.1",
		    DANEVIRKE_SECURE, DANEVIRKE_SECURE, true, 0,
		    "limits.records", DANEVIRKE_TLSA_INVALID },
		/* B05: not asked */
		{ "d MX S 10.mx1\nmx1 A I 192.0.2.1\nmx1 AAAA I",
		    DANEVIRKE_INSECURE, DANEVIRKE_ERROR, false, 0,
		    "address insecure" },
		{ "d MX S 10." LONG "\n" LONG " A S 192.0.2.1",
		    DANEVIRKE_SECURE, DANEVIRKE_ERROR, false, 0,
		    "longer than a domain name can be" },
		/* B04: no address, as the denial has it; D07 */
		{ "d MX S 10.mx1\nmx1 A S", DANEVIRKE_SECURE, DANEVIRKE_ERROR,
		    false, 0, "no address" },
		{ "d MX S 10.mx1\nmx1 A S\nmx1 AAAA I", DANEVIRKE_INSECURE,
		    DANEVIRKE_ERROR, false, 0, "no address" },
		{ "d MX S 10.mx1\nmx1 A S\nmx1 AAAA E", DANEVIRKE_ERROR,
		    DANEVIRKE_ERROR, false, 0, "address lookup failed",
		    DANEVIRKE_DNSSEC_INVALID },
		/* M12 does not hide D07 */
		{ "d MX S 10.mx1\nmx1 A S 127.0.0.1\nmx1 AAAA E\n" TLSA1,
		    DANEVIRKE_SECURE, DANEVIRKE_ERROR, false, 0,
		    "1 address of a kind no mail is sent to (loopback, "
		    "link-local, ...; see resolver.allow_addresses); address "
		    "lookup failed: made to fail",
		    DANEVIRKE_DNSSEC_INVALID },
		{ "d MX S 10.mx1\nmx1 A S 127.0.0.1\n" TLSA1, DANEVIRKE_SECURE,
		    DANEVIRKE_ERROR, false, 0, "allow_addresses)" },
		/* of two candidates: the one whose records are shown, else
		 * the less secure one, and its name */
		{ "d MX S 10.mx1\nmx1 A S >t 192.0.2.1\n"
		  "_25._tcp.t TLSA I 3.1.1\n_25._tcp.mx1 TLSA S",
		    DANEVIRKE_SECURE, DANEVIRKE_INSECURE, true, 1,
		    "no TLSA (_25._tcp.t, insecure)" },
		{ "d MX S 10.mx1\nmx1 A S >t 192.0.2.1\n"
		  "_25._tcp.t TLSA S\n_25._tcp.mx1 TLSA I 3.1.1",
		    DANEVIRKE_SECURE, DANEVIRKE_INSECURE, true, 1,
		    "no TLSA (_25._tcp.mx1, insecure)" },
		{ "d MX S 10.mx1\nmx1 A S >t 192.0.2.1\n"
		  "_25._tcp.t TLSA I\n_25._tcp.mx1 TLSA S",
		    DANEVIRKE_SECURE, DANEVIRKE_INSECURE, true, 0,
		    "no TLSA (_25._tcp.t, insecure)" },
		{ "d MX S 10.mx1\nmx1 A S >t 192.0.2.1\n"
		  "_25._tcp.t TLSA S\n_25._tcp.mx1 TLSA S",
		    DANEVIRKE_SECURE, DANEVIRKE_SECURE, true, 0,
		    "no TLSA (_25._tcp.t)" },
	};
	const struct danevirke_host *h;
	struct arena a = { NULL };
	uint64_t asked = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		const struct test test = { "states", t[i].world, "" };

		h = decide(&a, &test, &asked)->hosts[0];
		if (strstr(h->reason, t[i].reason) == NULL)
			fail_msg("%zu: %s", i, h->reason);
		assert_int_equal(h->state, t[i].addrs);
		assert_int_equal(h->tlsa_state, t[i].tlsa);
		assert_int_equal(h->tlsa_asked, t[i].asked);
		assert_int_equal(h->n_tlsa, t[i].n_tlsa);
		assert_int_equal(h->result, t[i].result);
		assert_null(h->tlsa_octets);
	}
	arena_free(&a);
}

/* Q06: octets that were not there are not shown as zeros. */
static void
test_octets(void **state)
{
	static const struct test t = { "Q06",
		"d MX S 10.mx1\n" A1 "_25._tcp.mx1 TLSA S #0 #2 #3", "" };
	struct danevirke_answer *an, *copy;
	struct danevirke_error err = { 0, "" };
	const struct danevirke_host *h;
	struct arena a = { NULL };
	uint64_t asked = 0;
	static char packed[8192];
	size_t n;

	(void)state;
	assert_non_null(an = decide(&a, &t, &asked));
	h = an->hosts[0];
	assert_int_equal(h->n_tlsa, 3);
	assert_non_null(h->tlsa_octets);
	assert_memory_equal(h->tlsa_octets, "\0\2\3", 3);
	assert_non_null(strstr(h->reason,
	    "ignored 0 octets: RDATA shorter than 4 octets; ignored 2 octets: "
	    "RDATA shorter than 4 octets; ignored DANE-EE SPKI SHA2-256: "));
	assert_non_null(copy = answer_make(an));
	n = answer_pack(copy, packed, sizeof packed);
	assert_true(n >= 1 && n <= sizeof packed);
	free(copy);
	assert_non_null(
	    copy = (void *)(uintptr_t)answer_unpack(packed, n, &err));
	assert_memory_equal(copy->hosts[0]->tlsa_octets, "\0\2\3", 3);
	free(copy);
	arena_free(&a);
}

/* A receiver's test is made on the receiver, too: M10 does not apply. */
static void
test_keep_self(void **state)
{
	static const struct conf_prefix self = { 4, { 192, 0, 2, 1 }, 32 };
	static const char world[] = "d MX S 10.mx1\n" A1 TLSA1;
	struct conf_profile profile = { .pub = { .name = "default" },
		.insecure_mx = DANEVIRKE_AUTHENTICATE,
		.digests = { 2, 1 },
		.n_digests = 2 };
	struct conf conf = { .limits = { 4, 4, 4, 4 } };
	struct facts f = { .domain = "d",
		.port = 25,
		.conf = &conf,
		.profile = &profile,
		.local = &self,
		.n_local = 1 };
	struct arena a = { NULL };
	struct want want[2];
	uint64_t asked = 0;
	uint32_t tie = 0;
	size_t i, n;

	(void)state;
	f.mx = lookup(&a, world, "d", TYPE_MX, &asked);
	assert_true(policy_hosts(&a, &f, count_up, &tie));
	while ((n = policy_next(&a, &f, &f.hosts[0], want)) > 0)
		for (i = 0; i < n; i++)
			*want[i].slot = lookup(
			    &a, world, want[i].name, want[i].type, &asked);
	assert_int_equal(policy_decide(&a, &f)->outcome, DANEVIRKE_LOOP);
	f.test = true;
	assert_int_equal(policy_decide(&a, &f)->outcome, DANEVIRKE_ROUTE);
	arena_free(&a);
}

/* Whose TLSA records are asked for beside the addresses: of the first four
 * hosts, where they lie in the zone that signed the MX records. */
static void
test_guess(void **state)
{
	static const char world[] = "d.ex MX S 10.mx.d.ex 20.ex 30.dd.ex "
				    "40.d.ex 50.x.d.ex";
	static const char outside[] = "d.ex MX S 10.mx.d.ey 10.192.0.2.1";
	static const struct {
		const char *world, *zone;
		enum danevirke_dnssec mx;
		enum danevirke_level level;
		const char *guesses; /* the hosts' numbers */
	} t[] = {
		{ world, "ex", DANEVIRKE_SECURE, LEVEL(DANE), "0123" },
		{ world, "d.ex", DANEVIRKE_SECURE, LEVEL(DANE), "03" },
		{ world, "d.ex", DANEVIRKE_SECURE, LEVEL(DANE_ONLY), "03" },
		{ world, "d.ex", DANEVIRKE_SECURE, LEVEL(AUDIT), "03" },
		{ world, "d.ex", DANEVIRKE_SECURE, LEVEL(OFF), "" },
		{ world, "d.ex", DANEVIRKE_INSECURE, LEVEL(DANE), "" },
		{ world, NULL, DANEVIRKE_SECURE, LEVEL(DANE), "" },
		{ outside, "d.ex", DANEVIRKE_SECURE, LEVEL(DANE), "" },
	};
	struct conf conf = { .limits = { 8, 8, 8, 8 } };
	struct facts f = { .domain = "d.ex", .port = 25, .conf = &conf };
	struct dns_result mx;
	struct arena a = { NULL };
	const char *name;
	char got[8], want[64];
	size_t i, j, n;
	uint64_t asked;
	uint32_t tie;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		mx = *lookup(&a, t[i].world, "d.ex", TYPE_MX, &asked);
		mx.zone = t[i].zone;
		mx.state = t[i].mx;
		f.mx = &mx;
		f.level = t[i].level;
		tie = 0;
		assert_true(policy_hosts(&a, &f, count_up, &tie));
		for (j = n = 0; j < f.n_hosts; j++) {
			name = policy_guess(&a, &f, &f.hosts[j]);
			if (name == NULL)
				continue;
			snprintf(
			    want, sizeof want, "_25._tcp.%s", f.hosts[j].name);
			assert_string_equal(name, want);
			got[n++] = (char)('0' + j);
		}
		got[n] = '\0';
		assert_string_equal(got, t[i].guesses);
	}
	f.mx = NULL; /* a relay host */
	f.kind = DANEVIRKE_RELAY;
	assert_null(policy_guess(&a, &f, &f.hosts[0]));
	arena_free(&a);
}

int
main(void)
{
	struct CMUnitTest list[sizeof tests / sizeof *tests + 7];
	size_t i, n = sizeof tests / sizeof *tests;

	memset(list, 0, sizeof list);
	for (i = 0; i < n; i++) {
		list[i].name = tests[i].id;
		list[i].test_func = test_one;
		list[i].initial_state = (void *)(uintptr_t)&tests[i];
	}
	list[n++] = TEST(
	    test_ties, "equal hosts come in the order of the ties (M02)");
	list[n++] = TEST(test_zero, "zeroed facts and results defer");
	list[n++] = TEST(
	    test_insecure_tlsa, "insecure TLSA is shown and not used (Q05)");
	list[n++] = TEST(test_keep_self,
	    "a test of a receiver keeps itself in the list (M10)");
	list[n++] = TEST(
	    test_states, "each host says what was looked up (B04 B05 D07 M12)");
	list[n++] = TEST(test_guess,
	    "TLSA is asked for ahead in the zone of the MX alone (B05a)");
	list[n++] = TEST(
	    test_octets, "octets that were not there are not shown (Q06)");
	return _cmocka_run_group_tests("policy", list, n, NULL, NULL);
}
