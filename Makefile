# minimta: make, make check, make install (DESTDIR, PREFIX).
# Variants build in folders of their own beside the plain one: SAN=address,undefined; BROKEN=name, TEST_KILL=1 and PUPPET=1 (tests only).
PREFIX	?= /usr/local
CC	?= cc
CFLAGS	?= -O2 -g
VARIANT	:= $(if $(BROKEN),broken-$(BROKEN),$(if $(TEST_KILL),kill,$(if $(PUPPET),puppet,$(if $(SAN),san,plain))))
OUT	:= build/$(VARIANT)

PKGS	:= libevent libcares libconfuse libidn2 libxxhash libseccomp libcrypto json-c
ALL_CFLAGS := -std=c17 -D_GNU_SOURCE -I. -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
	-Wpointer-arith -Wwrite-strings -Wvla -fno-common -fstack-protector-strong -fPIE -pthread \
	-DPREFIX='"$(PREFIX)"' $(if $(WERROR),-Werror) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined) \
	$(shell pkg-config --cflags $(PKGS)) $(CFLAGS)
# What makes a variant of the tests, and the words by which the sources are found that it makes different; all other
# objects are the plain ones.
OWN_CFLAGS := $(if $(BROKEN),-DBROKEN_$(BROKEN)) $(if $(TEST_KILL),-DTEST_KILL) $(if $(PUPPET),-DPUPPET)
OWN_WORDS := $(if $(BROKEN),BROKEN_$(BROKEN))$(if $(TEST_KILL),TEST_KILL|KILLPOINT|killpoint)$(if $(PUPPET),PUPPET|puppet)
OWN	:= $(if $(OWN_WORDS),$(shell grep -lE '$(OWN_WORDS)' */*.c))
ALL_LDFLAGS := -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
LIBS	:= $(shell pkg-config --libs $(PKGS)) -lresolv
lookup_LIBS := -lgdbm	# GPL-3: what it is linked with is, too (README.md); no other program is

# Libraries, a line per source: what every process may use.
LIB	:= \
	lib/caller.c \
	lib/clock.c \
	lib/conf.c \
	lib/conf_check.c \
	lib/conf_address.c \
	lib/conf_number.c \
	lib/conf_parse.c \
	lib/conf_print.c \
	lib/conf_table.c \
	lib/conf_value.c \
	lib/ipc.c \
	lib/log.c \
	lib/alloc.c \
	lib/landlock.c \
	lib/messages.c \
	lib/pack.c \
	lib/pairs.c \
	lib/process.c \
	lib/puppet.c \
	lib/rate.c \
	lib/sandbox.c \
	lib/address.c \
	lib/aliases.c \
	lib/alias_file.c \
	lib/command.c \
	lib/dsn.c \
	lib/credentials.c \
	lib/envelope.c \
	lib/header.c \
	lib/ids.c \
	lib/job.c \
	lib/killpoint.c \
	lib/reply.c \
	lib/route.c \
	lib/token.c \
	lib/utf8.c \
	lib/wire.c \
	lib/mailbox.c

MX	:= \
	mx/dns.c \
	mx/dns_answer.c \
	mx/dns_cache.c \
	mx/dns_client.c \
	mx/dns_count.c \
	mx/dns_pack.c \
	mx/mx.c \
	mx/mx_order.c \
	mx/probe.c \
	mx/probe_steps.c \
	mx/resolver.c

FILTERS	:= \
	filters/greylist.c \
	filters/greylist_key.c \
	filters/rate_filter.c \
	filters/standing.c \
	filters/trap.c \
	filters/access.c \
	filters/access_filter.c \
	filters/chain.c \
	filters/chain_fields.c \
	filters/chain_fold.c \
	filters/config.c \
	filters/dnsbl_filter.c \
	filters/filter.c \
	filters/finding.c \
	filters/helo_filter.c \
	filters/iprev_filter.c \
	filters/callback.c \
	filters/registry.c \
	filters/spf_filter.c \
	filters/dmarc_filter.c \
	filters/dkim_filter.c \
	filters/conformity_filter.c \
	filters/arc_filter.c \
	filters/memory.c \
	filters/memory_client.c \
	filters/memory_peek.c \
	filters/memory_core.c \
	filters/memory_pack.c \
	filters/memory_table.c \
	filters/arc.c \
	filters/arc_seal.c \
	filters/arc_sets.c \
	filters/dkim.c \
	filters/dkim_canon.c \
	filters/dkim_hash.c \
	filters/dkim_key.c \
	filters/dkim_sign.c \
	filters/dkim_signature.c \
	filters/dmarc.c \
	filters/dmarc_record.c \
	filters/senderid.c \
	filters/spf.c \
	filters/spf_names.c \
	filters/spf_received.c \
	filters/spf_record.c \
	filters/srs.c \
	filters/iprev.c \
	filters/iprev_name.c \
	filters/reverse.c \
	filters/dnsbl.c \
	filters/dnsbl_list.c \
	filters/dnsbl_watch.c \
	filters/authres.c \
	filters/decision.c \
	filters/greet.c \
	filters/dmarc_author.c

# Processes and tools, a line per source; the first source of each has main().
minimta_SRC	:= \
	master/main.c \
	master/children.c \
	master/control.c \
	master/endpoint.c \
	master/control_ask.c \
	master/launch.c \
	master/logins.c \
	master/notify.c \
	master/pages.c \
	master/places.c \
	master/reload.c \
	master/secrets.c \
	master/setup.c \
	master/watch.c

smtpd_SRC	:= \
	smtpd/main.c \
	smtpd/smtpd.c \
	smtpd/listener.c \
	smtpd/account.c \
	smtpd/client.c \
	smtpd/guard.c \
	smtpd/pace.c \
	smtpd/handover.c \
	smtpd/wrote.c \
	smtpd/pretend.c \
	smtpd/crowd.c \
	smtpd/network.c \
	smtpd/tally.c \
	smtpd/tally_map.c \
	smtpd/stress.c \
	smtpd/session.c \
	smtpd/stream.c \
	smtpd/commands.c \
	smtpd/params.c \
	smtpd/proxy.c \
	smtpd/recipient.c \
	smtpd/rewrite.c \
	smtpd/transaction.c \
	smtpd/content.c \
	smtpd/headscan.c \
	smtpd/trace.c \

resolver_SRC	:= \
	mx/main.c \
	mx/explain.c

lookup_SRC	:= \
	lookup/main.c \
	lookup/callbacks.c \
	lookup/calling.c \
	lookup/judge.c \
	lookup/relayed.c \
	lookup/recipients.c \
	lookup/state.c \
	lookup/state_cache.c \
	lookup/state_copy.c \
	lookup/state_file.c \
	lookup/state_show.c \
	lookup/state_store.c \
	lookup/targets.c \
	lookup/trust.c \
	lookup/verify.c

queue_SRC	:= \
	queue/main.c \
	queue/admin.c \
	queue/announce.c \
	queue/append.c \
	queue/attempt.c \
	queue/bar.c \
	queue/archive.c \
	queue/await.c \
	queue/bounce.c \
	queue/cache.c \
	queue/carry.c \
	queue/change.c \
	queue/check.c \
	queue/commit.c \
	queue/disk.c \
	queue/dispatch.c \
	queue/due.c \
	queue/child.c \
	queue/expand.c \
	queue/forward.c \
	queue/expansion.c \
	queue/flight.c \
	queue/bouncecap.c \
	queue/past.c \
	queue/patience.c \
	queue/pauses.c \
	queue/tell.c \
	queue/idmap.c \
	queue/index.c \
	queue/intake.c \
	queue/lanes.c \
	queue/large.c \
	queue/log.c \
	queue/mark.c \
	queue/message_file.c \
	queue/notice.c \
	queue/outcome.c \
	queue/read.c \
	queue/reclaim.c \
	queue/record.c \
	queue/recover.c \
	queue/schedule.c \
	queue/schedule_facts.c \
	queue/schedule_fair.c \
	queue/schedule_state.c \
	queue/segindex.c \
	queue/selection.c \
	queue/segment.c \
	queue/show.c \
	queue/slab.c \
	queue/space.c \
	queue/transfer.c \
	queue/writer.c

delivery_SRC	:= \
	delivery/main.c \
	delivery/agent.c \
	delivery/agent_course.c \
	delivery/body.c \
	delivery/calls.c \
	delivery/client.c \
	delivery/endpoint.c \
	delivery/client_login.c \
	delivery/client_reply.c \
	delivery/client_commands.c \
	delivery/client_steps.c \
	delivery/client_verdict.c \
	delivery/login.c \
	delivery/pool.c \
	delivery/reach.c

mda_SRC		:= \
	mda/main.c \
	mda/child.c \
	mda/command.c \
	mda/deliver.c \
	mda/forward.c \
	mda/mail.c \
	mda/maildir.c \
	mda/mbox.c \
	mda/order.c \
	mda/runner.c

logger_SRC	:= \
	logger/main.c \
	logger/counters.c \
	logger/counters_text.c \
	logger/journal.c \
	logger/keep.c \
	logger/match.c \
	logger/search.c \
	logger/tallies.c

sendmail_SRC	:= \
	tools/sendmail.c \
	tools/args.c \
	tools/call.c \
	tools/session.c \
	tools/changes.c \
	tools/deliver.c \
	tools/gecos.c \
	tools/letter.c \
	tools/lines.c \
	tools/mailq.c \
	tools/report.c \
	tools/submit.c \
	tools/verify.c \
	tools/streams.c

minimtactl_SRC	:= \
	tools/minimtactl.c \
	tools/call.c \
	tools/session.c \
	tools/changes.c \
	tools/select.c \
	tools/spool.c \
	tools/check.c \
	tools/check_address.c \
	tools/check_arc.c \
	tools/check_dkim.c \
	tools/sign.c \
	tools/check_mail.c \
	tools/check_greylist.c \
	tools/check_spf.c \
	tools/check_srs.c \
	tools/explain.c \
	tools/explain_json.c \
	tools/story.c \
	tools/lines.c \
	tools/mailq.c \
	tools/report.c \
	tools/status.c \
	tools/verify.c \
	tools/check_dmarc.c \
	tools/check_dnsbl.c \
	tools/check_sender.c \
	tools/check_iprev.c \
	tools/streams.c

mailstat_SRC	:= \
	tools/mailstat.c \
	tools/call.c \
	tools/lines.c \
	tools/stats.c \
	tools/stats_html.c \
	tools/stats_print.c \
	tools/streams.c

PROGRAMS := $(strip $(foreach p,minimta smtpd resolver lookup queue delivery mda logger sendmail minimtactl mailstat,\
	$(if $($(p)_SRC),$(p))))

# Tests: tests/unit/test_NAME.c is a Check program, tests/fuzz/fuzz_NAME.c a libFuzzer target with a corpus beside it.
UNIT	:= \
	memory_client \
	memory_table \
	state \
	greylist \
	greylist_key \
	memory_core \
	record \
	segment \
	spool \
	spool_model \
	chain \
	chain_runs \
	finding \
	config \
	senderid \
	filters \
	address \
	agent \
	archive \
	args \
	body \
	bar \
	bounce \
	bouncecap \
	client \
	client_reply \
	client_verdict \
	clock \
	commands \
	conf \
	credentials \
	login \
	dsn \
	dns_answer \
	dns_cache \
	dns_client \
	due \
	header \
	greet \
	headscan \
	idmap \
	index \
	intake \
	ipc \
	letter \
	lines \
	log \
	mailq \
	mark \
	mx \
	mx_order \
	pack \
	proxy \
	pages \
	probe \
	probe_steps \
	network \
	message_file \
	notice \
	params \
	past \
	patience \
	pool \
	reach \
	rate \
	reply \
	report \
	resolver \
	route \
	schedule \
	schedule_weeks \
	selection \
	slab \
	stress \
	tally \
	token \
	counters \
	decision \
	explain \
	stats \
	journal \
	match \
	pairs \
	trace \
	utf8 \
	wire \
	aliases \
	callback \
	callbacks \
	relayed \
	rewrite \
	recipients \
	maildir \
	mbox \
	forward \
	forwarded \
	lookup \
	mda \
	dkim \
	dkim_canon \
	dkim_signature \
	dmarc \
	dmarc_record \
	reverse \
	iprev_name \
	iprev \
	dnsbl \
	dnsbl_list \
	authres \
	spf \
	spf_received \
	spf_record \
	srs \
	dmarc_author

FUZZ	:= \
	greylist_key \
	memory_pack \
	state_cache \
	counters \
	decision \
	record \
	segment \
	address \
	chain \
	client \
	conf \
	dsn \
	message_file \
	patience \
	dns_answer \
	dns_pack \
	header \
	ipc \
	job \
	letter \
	credentials \
	login \
	probe_steps \
	relayed \
	rewrite \
	proxy \
	reply \
	smtpd \
	tally \
	wire \
	aliases \
	dkim \
	dkim_signature \
	dmarc_record \
	iprev_name \
	dnsbl_list \
	authres \
	spf_record \
	srs \
	dmarc_author

ARCHIVE	:= $(OUT)/libminimta.a
PARTS	:= $(OUT)/libparts.a
objects	= $(foreach f,$(1),$(if $(OWN_WORDS),$(if $(filter $(f),$(OWN)),$(OUT),build/plain),$(OUT))/$(f:.c=.o))
part_SRC := $(foreach p,$(PROGRAMS),$(wordlist 2,999,$($(p)_SRC)))

# sendmail by its other names.
NAMES	:= mailq newaliases hoststat rmail send-mail

all: $(PROGRAMS:%=$(OUT)/bin/%) $(NAMES:%=$(OUT)/bin/%)

$(NAMES:%=$(OUT)/bin/%): $(OUT)/bin/sendmail
	ln -sf sendmail $@

# Tests are compiled far more often than they run.
$(OUT)/tests/unit/%.o $(OUT)/tests/fuzz/%.o: UNOPTIMIZED := -O0

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(OWN_CFLAGS) $(UNOPTIMIZED) -MMD -MP -c -o $@ $<
ifneq ($(OWN_WORDS),)
build/plain/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
endif

# What is made of a list is made anew when something leaves the list: each list stands in a file, which is written when it differs.
define list
$(OUT)/$(1): $(OUT)/lists/$(notdir $(1))
ifneq ($(strip $(2)),$$(strip $$(file <$(OUT)/lists/$(notdir $(1)))))
$$(shell mkdir -p $(OUT)/lists)$$(file >$(OUT)/lists/$(notdir $(1)),$(strip $(2)))
endif
endef
$(eval $(call list,libminimta.a,$(LIB) $(MX) $(FILTERS)))
$(eval $(call list,libparts.a,$(sort $(part_SRC))))
$(foreach p,$(PROGRAMS),$(eval $(call list,bin/$(p),$($(p)_SRC))))

$(ARCHIVE): $(call objects,$(LIB) $(MX) $(FILTERS))
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $(filter %.o,$^)

# Everything but the mains, for the unit tests.
$(PARTS): $(call objects,$(sort $(part_SRC)))
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $(filter %.o,$^)

define program
$(OUT)/bin/$(1): $(call objects,$($(1)_SRC)) $(ARCHIVE)
	@mkdir -p $$(@D)
	$(CC) -o $$@ $$(filter %.o %.a,$$^) $(ALL_LDFLAGS) $(LIBS) $($(1)_LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

$(OUT)/tests/unit/%: $(OUT)/tests/unit/%.o $(PARTS) $(ARCHIVE)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) $(shell pkg-config --libs check) $(LIBS) $(lookup_LIBS)

# These run the process itself, which stands beside them.
$(OUT)/tests/unit/test_lookup: | $(OUT)/bin/lookup
$(OUT)/tests/unit/test_mda: | $(OUT)/bin/mda

$(OUT)/tests/fuzz/%: $(OUT)/tests/fuzz/%.o $(OUT)/tests/fuzz/replay.o $(PARTS) $(ARCHIVE)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) $(LIBS)

# The log alone, against single fdatasyncs in the same run.
bench-log: $(OUT)/tests/bench-log
	@mkdir -p build
	$(OUT)/tests/bench-log build

$(OUT)/tests/bench-log: $(OUT)/tests/bench-log.o $(PARTS) $(ARCHIVE)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) $(LIBS)

units: $(UNIT:%=$(OUT)/tests/unit/test_%)
fuzzers: $(FUZZ:%=$(OUT)/tests/fuzz/fuzz_%)

run:
	./run

check:
	./check

# With Debian's other mail servers, name servers and clients, in namespaces, as root; CASES="to_peer cron" for some.
interop: all
	python3 -B tests/interop.py -v $(CASES)

# What each filter costs smtpd, and all of them together.
bench-filters: $(OUT)/tests/bench-filters
	$(OUT)/tests/bench-filters

$(OUT)/tests/bench-filters: $(OUT)/tests/bench-filters.o $(ARCHIVE)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) $(LIBS)

# Beside postfix; ONLY="forward memory" QUICK=1 for parts (tests/bench.py). Not part of ./check.
bench: all $(OUT)/tests/bench-filters
	python3 tests/bench.py

# minimta and the tools for people in sbin, the other processes in libexec; an existing configuration stays. What a machine
# needs beside files (users, directories) `minimta --setup` makes.
SBIN	:= minimta sendmail minimtactl mailstat
UNITS	?= $(if $(filter /usr,$(PREFIX)),/usr/lib/systemd/system,/etc/systemd/system)
pages	= $(wildcard man/*.[1-8])
page_to	= $(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(1)))/$(notdir $(1))
install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/minimta $(DESTDIR)/etc/minimta \
		$(DESTDIR)$(PREFIX)/share/minimta $(DESTDIR)$(UNITS)
	install $(patsubst %,$(OUT)/bin/%,$(filter $(SBIN),$(PROGRAMS))) $(DESTDIR)$(PREFIX)/sbin
	install $(patsubst %,$(OUT)/bin/%,$(filter-out $(SBIN),$(PROGRAMS))) $(DESTDIR)$(PREFIX)/libexec/minimta
	$(foreach n,$(NAMES),ln -sf ../sbin/sendmail $(DESTDIR)$(PREFIX)/bin/$(n) &&) :
	install -m 644 minimta.conf $(DESTDIR)$(PREFIX)/share/minimta
	test -e $(DESTDIR)/etc/minimta/minimta.conf || install -m 644 minimta.conf $(DESTDIR)/etc/minimta
	sed 's|@PREFIX@|$(PREFIX)|g' minimta.service >$(OUT)/minimta.service
	install -C -m 644 $(OUT)/minimta.service $(DESTDIR)$(UNITS)	# untouched where it is the same: systemd would want a reload
	$(foreach p,$(pages),install -D -m 644 $(p) $(call page_to,$(p)) &&) :

# Configuration, queue and users stay: they are not ours to throw away.
uninstall:
	rm -f $(patsubst %,$(DESTDIR)$(PREFIX)/sbin/%,$(SBIN)) $(patsubst %,$(DESTDIR)$(PREFIX)/bin/%,$(NAMES))
	rm -f $(patsubst %,$(DESTDIR)$(PREFIX)/libexec/minimta/%,$(filter-out $(SBIN),$(PROGRAMS)))
	rm -f $(DESTDIR)$(PREFIX)/share/minimta/minimta.conf $(DESTDIR)$(UNITS)/minimta.service $(foreach p,$(pages),$(call page_to,$(p)))
	-rmdir $(DESTDIR)$(PREFIX)/libexec/minimta $(DESTDIR)$(PREFIX)/share/minimta
	@echo "Left where they are: $(DESTDIR)/etc/minimta, the queue (/var/spool/minimta), /var/lib/minimta, and the users _minimta_*."
	@echo "What runs goes on: systemctl disable --now minimta, or kill minimta with SIGTERM."

clean:
	rm -rf build

.PHONY: all units fuzzers interop bench bench-filters bench-log clean run check install uninstall
.SECONDARY:

-include $(shell find build/$(VARIANT) $(if $(OWN_WORDS),build/plain) -name '*.d' 2>/dev/null)
