dnl # SPDX-License-Identifier: ISC
dnl # Danevirke for Sendmail by way of danevirked(8): include this at the
dnl # end of sendmail.mc, below MAILER(`smtp'), and make sendmail.cf again.
dnl #
dnl #	include(`/etc/mail/danevirke.m4')dnl
dnl #
dnl # Sendmail connects as root unless confRUN_AS_USER says otherwise, so
dnl # danevirke.conf needs
dnl #
dnl #	relay: { user = [ "root" ]; };
dnl #
dnl # Everything that is not local and not in the mailertable goes to the relay,
dnl # or waits: SMART_HOST does not come into it.  A host that wants a password
dnl # is not for this: write its domains into the mailertable.  Tried with
dnl # Sendmail 8.17, of Debian 12.
LOCAL_CONFIG
Ksendmail socket unix:/run/danevirked/map
LOCAL_RULE_0
# user@[address] would otherwise be sent there
R$* < @ [ $+ ] > $*	$: $>danevirke $1 < @ [ $2 ] > $3
LOCAL_NET_CONFIG
R$* < @ $+ > $*		$: $>danevirke $1 < @ $2 > $3
LOCAL_RULESETS
Sdanevirke
R$* < @ $=w > $*	$@ $1 < @ $2 > $3
R$* < @ $=w . > $*	$@ $1 < @ $2 . > $3
# a sender is looked up like a recipient; it would only take an address
R$*			$: $&{addr_type} $| $1
R$* s $| $*		$#danevirke $@ [127.0.0.0] $: $2
R$* $| $*		$: $2
R$* < @ $+ . > $*	$: $1 < @ $2 > $3
R$* < @ $+ > $*		$: < $(sendmail $2 $: none $) > $1 < @ $2 > $3
R< [ 127.$-.$-.$- ] > $*	$#danevirke $@ [127.$1.$2.$3] $: $4
R< $* > $*		$#error $@ 4.3.0 $: "451 danevirked has no address for this domain"
MAILER_DEFINITIONS
# the port is relay.port
Mdanevirke,	P=[IPC], F=mDFMuXa0, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP,
		E=\r\n, L=990, T=DNS/RFC822/SMTP, A=TCP $h 10025
