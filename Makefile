# Builds the extension; `make help` lists everything else.

EXTENSION = integration
MODULE_big = $(EXTENSION)

# Targets that need no PostgreSQL yet: their scripts install what is missing first.
SCRIPTED = test test-model test-fuzz test-soak test-faults demo lint bench bench-short bench-smoke help dist test-peers \
	test-versions smoke-versions test-sanitizers smoke-sanitizers test-valgrind coverage \
	print-parts

.DEFAULT_GOAL = all
.PHONY: $(SCRIPTED)

help:
	@sed -n 's/^## //p' Makefile

## make               build
## make install       install into the PostgreSQL of PG_CONFIG
## make installcheck   regression and isolation tests against a running server that has the preload
## make test          every test, on private clusters; SUITES="unit pgtap" for some of them
test:
	@test/run $(SUITES)

## make test-versions every test with other PostgreSQLs, in private roots; VERSIONS="17 18" for some of them
VERSIONS = $(if $(UBUNTU_MIRROR),14) 15 $(if $(UBUNTU_MIRROR),16) 17 18 19
test-versions:
	@test/versions/run $(VERSIONS)

## make smoke-versions  a part of that, in minutes
smoke-versions: VERSIONS = 17 18
smoke-versions:
	@test/versions/run --smoke $(VERSIONS)

## make test-faults   faults in their long form: a thousand kills, ten minutes
test-faults:
	@FORM=long PRIVATE_KEEPS=FORM test/run faults

## make test-sanitizers every test with the server under ASan and UBSan; smoke-sanitizers: a part, in minutes
smoke-sanitizers: export PROGRAMS = 001_*
test-sanitizers smoke-sanitizers: SUITES = regress isolation pgtap t e2e
test-sanitizers smoke-sanitizers:
	@VARIANT=sanitizers test/run $(SUITES)

## make test-valgrind the worker's ways with the server under valgrind
test-valgrind: SUITES = memory
test-valgrind:
	@VARIANT=valgrind test/run $(SUITES)

## make coverage      what of the code no test runs
coverage:
	@VARIANT=coverage test/run $(SUITES)

## make test-model    checks the model of the hand-over, refutes its mutations (test/model/README.md)
test-model:
	@test/lib/packages test && test/model/run

## make test-fuzz     feeds what reads foreign bytes with them, SECONDS=60 for each target (test/fuzz/README.md)
test-fuzz:
	@test/fuzz/run

## make test-soak     MINUTES=10 at full load: a misbehaving receiver, then fast retention (test/soak/run)
test-soak:
	@test/soak/run

## make test-peers    others verify our signatures, issue tokens, scrape figures, read telemetry, events, pages: npm packages, Swift's S3, Prometheus, Chromium; a quarter of an hour
test-peers:
	@test/peers/run

## make demo          installs what is missing, then shows syncs leave, fail, heal
demo:
	@test/demo/run

## make lint          the rules of this code base; RULES="layers sizes" for some of them
lint:
	@test/lint/run $(RULES)

## make bench         the table of docs/performance.md; ROW=4 for one of it, ROW="1 3" for some
bench:
	@test/bench/run $(ROW)

## make bench-short   the same in minutes; bench-smoke: only whether every measurement runs
bench-short bench-smoke:
	@FORM=$(@:bench-%=%) test/bench/run $(ROW)

## make dist          integration-<version>.tar.gz of what is committed
dist:
	@git archive --prefix=$(EXTENSION)-$(EXTENSION_VERSION)/ -o $(EXTENSION)-$(EXTENSION_VERSION).tar.gz HEAD

# The control file is the one place that says the version.
# (PGXS has a VERSION of its own: PostgreSQL's.)
EXTENSION_VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(EXTENSION).control)

# Table of contents of the install script, in order: a part uses only parts before it.
SQL_PARTS =  header       # runs inside CREATE EXTENSION only; the two schemas
SQL_PARTS += registry     # who we call: connectors, credentials, retry policies, endpoints
SQL_PARTS += errors       # what a failure means: classes, reasons
SQL_PARTS += rules        # the user's own reading of answers
SQL_PARTS += taxonomy     # what we know: a row for each class, each reason
SQL_PARTS += phrases      # sentences for people, by language
SQL_PARTS += outbox       # what was asked; the queue: what is left of it
SQL_PARTS += attempts     # what happened; how each business object stands
SQL_PARTS += health       # how endpoints do; incidents, pauses, actions
SQL_PARTS += remedies     # what helps, told to support, to engineers, to customers; what helped before
SQL_PARTS += remedy_texts # what is told to engineers, to customers
SQL_PARTS += native       # the functions in C
SQL_PARTS += adoption     # a copied database doesn't send until somebody takes over
SQL_PARTS += mask         # what a mask hides
SQL_PARTS += checks       # what may stand in the registry
SQL_PARTS += customers    # whose objects they are
SQL_PARTS += ownership    # whose work a failure is
SQL_PARTS += guards       # what may not be changed; what a change sets off
SQL_PARTS += credentials  # what credentials need; secrets sealed, read by the worker only
SQL_PARTS += enqueue      # the door: from an insert to a queue row
SQL_PARTS += enqueue_limits  # how much a customer or a role may enqueue
SQL_PARTS += feed         # what the worker reads: registry, what is new, what is due
SQL_PARTS += clock        # what a clock that is set back leaves behind
SQL_PARTS += results      # what the worker reports: attempts, running counters; how durably
SQL_PARTS += ranges       # ranges of ids: made ahead of the sequence, listed
SQL_PARTS += staying      # which old syncs must stay
SQL_PARTS += sweeps       # what is in no range leaves by small deletes
SQL_PARTS += thinning     # whole ranges leave, what is to stay is set aside
SQL_PARTS += traffic      # attempts counted by hour
SQL_PARTS += retention    # what leaves, when; one step at a time
SQL_PARTS += keys         # which sync of an endpoint, of an ordering key, of an object goes next
SQL_PARTS += crashes      # which syncs took a worker down; when the next one goes on
SQL_PARTS += expiry       # what nobody wants any more by now
SQL_PARTS += judge        # what an answer means: pure rules
SQL_PARTS += decide       # what comes next for a sync that was not delivered
SQL_PARTS += gather       # the facts of a batch of results
SQL_PARTS += breaker      # when an endpoint is left alone: pure rules
SQL_PARTS += standing     # the health of the endpoints of a batch
SQL_PARTS += incidents    # incidents opened, counted, resolved
SQL_PARTS += status       # how each business object stands after a batch
SQL_PARTS += deliver      # the straight way: plain deliveries
SQL_PARTS += settle       # a batch of results: recorded, judged, rescheduled or finished
SQL_PARTS += marks        # what must never be sent twice: marked before, reported after a crash
SQL_PARTS += actions      # retry, cancel, amend, replay, ping
SQL_PARTS += bulk         # the same to many syncs at once
SQL_PARTS += switches     # pause, resume
SQL_PARTS += sync_view    # every sync as people see it
SQL_PARTS += status_views # how objects, endpoints, workers stand
SQL_PARTS += pause_status # what waits behind each kill switch
SQL_PARTS += why          # timeline, why
SQL_PARTS += notices      # who is told of an incident
SQL_PARTS += rehearsal    # what a failure sets off, gone through before there is one
SQL_PARTS += watchdogs    # what no result says: looked for every minute
SQL_PARTS += expected     # what should have been delivered by now
SQL_PARTS += growth       # backlogs that grow
SQL_PARTS += escalation   # who is told when nobody looks after an incident
SQL_PARTS += health_check # one row for monitors
SQL_PARTS += heartbeat    # a sync now and then, so that silence is seen outside
SQL_PARTS += notice_checks # what may stand in the tables of notices, escalation, heartbeat
SQL_PARTS += incident_actions # acknowledge, assign, snooze, ignore, reopen, resolve
SQL_PARTS += runbook      # what to do about an incident: texts
SQL_PARTS += self_pause   # an endpoint that pauses itself
SQL_PARTS += interfaces   # what answers say of their own end, of their version
SQL_PARTS += certificates # client certificates that are about to end
SQL_PARTS += design_faults # many different objects refused alike, none accepted
SQL_PARTS += incident_status # incidents as people see them
SQL_PARTS += notice_texts # notices in words, in the forms of their receivers
SQL_PARTS += events       # one stream of what happened
SQL_PARTS += otlp         # telemetry: which signals leave, where to
SQL_PARTS += otlp_bodies  # telemetry in OTLP's JSON
SQL_PARTS += otlp_batches # batches of telemetry
SQL_PARTS += preview      # the request as it would leave
SQL_PARTS += content      # payloads, answers as support may see them
SQL_PARTS += customer_words # what customers are told
SQL_PARTS += access       # what a customer's role sees, may do
SQL_PARTS += fields       # which fields of the data were refused
SQL_PARTS += metrics      # figures for monitoring
SQL_PARTS += page_parts   # what pages are made of
SQL_PARTS += page_charts  # charts of pages
SQL_PARTS += page         # the status page of those who run this
SQL_PARTS += customer_page # the status page of a customer
SQL_PARTS += page_door    # who gets which page
SQL_PARTS += customer_status # how one object of a customer stands
SQL_PARTS += action_log   # what people did: changes of tables too, as one list
SQL_PARTS += signatures   # keys to sign with, a check for receivers in SQL
SQL_PARTS += sync_clock   # the deadline of a sync, where its time went
SQL_PARTS += counts       # what became of syncs, by day
SQL_PARTS += sla          # promises: what is at risk, how the month went
SQL_PARTS += usage        # which integrations earn their keep
SQL_PARTS += own_texts    # from here on texts are the user's own
SQL_PARTS += privileges   # who may do what: the only GRANTs
SQL_PARTS += recorded     # which tables are on record
SQL_PARTS += dump         # what pg_dump takes along
SQL_PARTS += start        # the worker starts when the script commits

print-parts:
	@echo $(SQL_PARTS)

ifneq ($(filter-out $(SCRIPTED),$(or $(MAKECMDGOALS),all)),)

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
SCRIPT = sql/$(EXTENSION)--$(EXTENSION_VERSION).sql
DATA_built = $(SCRIPT)
DATA = $(wildcard sql/upgrade/*--*--*.sql)

REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
REGRESS_OPTS = --inputdir=test --load-extension=$(EXTENSION)
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=$(EXTENSION)

# Each object writes down the headers it was made from (read back at the end), so that a changed header
# rebuilds; PGXS does so only where PostgreSQL itself was configured for it.
PG_CPPFLAGS = -I$(CURDIR)/src -DINTEGRATION_VERSION='"$(EXTENSION_VERSION)"' -MMD -MP
# Hidden by default: before 16 PostgreSQL leaves every symbol visible to other extensions.
PG_CFLAGS = -std=gnu11 -fvisibility=hidden -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes \
	-Wshadow -Wvla -Wno-declaration-after-statement -Wno-unused-parameter -Wno-sign-compare
ifdef DEV
PG_CFLAGS += -Werror
endif
SHLIB_LINK = -lcurl -lcrypto -lz
EXTRA_CLEAN = $(SCRIPT) $(OBJS:.o=.d) results regression.diffs regression.out test/unit/build test/bench/build

# Bitcode for LLVM would only be inlined into queries, and nothing here is called per tuple.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(SCRIPT): $(SQL_PARTS:%=sql/%.sql) $(EXTENSION).control Makefile
	cat $(SQL_PARTS:%=sql/%.sql) >$@.new
	mv $@.new $@

-include $(OBJS:.o=.d)

endif
