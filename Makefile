# durable: durable workflows inside PostgreSQL, and the game played on them.
#
#   make                 build the library, the install scripts and the client
#   make install         install into the PostgreSQL that PG_CONFIG names (DESTDIR= works)
#   make installcheck    regression tests and isolation specs against a running server (PGHOST, PGPORT, PGUSER); what
#                        the server has to have is in scripts/installcheck, and it says so itself
#
# These need nothing prepared, touch nothing outside a directory of their own, and start servers of their own:
#   make play            play the game (without a terminal: play one by itself);  make stop, make clean-play
#   make check           every test there is
#   make chaos           the tests that kill processes at random, in their long forms
#   make check-versions  every test on other PostgreSQL versions, and with assertions (as root, in Debian systems of its own)
#   make devserver       a scratch server with the current build
#
# Settings: PG_CONFIG=/path/to/pg_config; GAME=no leaves the game and its client out; DURABLE_TESTING=1 compiles the
# debug points in; WERROR=1 makes warnings errors; WITH_LLVM=yes adds the bitcode for the JIT compiler (needs clang).

PG_CONFIG ?= pg_config
GAME ?= yes
WITH_LLVM ?= no

version_of = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(1))
DURABLE_SQL := durable--$(call version_of,durable.control).sql
DUNGEON_SQL := durable_dungeon--$(call version_of,durable_dungeon.control).sql
# From the last released version to this one; extension/upgrade has the parts that are written by hand.
DURABLE_UPGRADE := durable--0.1--$(call version_of,durable.control).sql
DUNGEON_UPGRADE := durable_dungeon--0.1--$(call version_of,durable_dungeon.control).sql

# --- the library -------------------------------------------------------------------------------------------------------

MODULE_big = durable
# Layers, from the bottom up; includes and calls point downwards (test/lint/layers).
LAYERS = base value memory store code turn run api process
SOURCES = $(wildcard src/*.c $(LAYERS:%=src/%/*.c))
HEADERS = $(wildcard $(LAYERS:%=src/%/*.h))
OBJS = $(sort $(SOURCES:.c=.o))
PGFILEDESC = "durable - durable workflows"

# The last three warnings of -Wextra fire in every use of PostgreSQL's own macros and calling conventions.
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
PG_CPPFLAGS = $(LAYERS:%=-Isrc/%)
ifdef WERROR
PG_CFLAGS += -Werror
endif
ifdef DURABLE_TESTING
PG_CPPFLAGS += -DDURABLE_TESTING
endif

# --- the extensions ----------------------------------------------------------------------------------------------------

EXTENSION = durable
# The script of 0.1, too: CREATE EXTENSION durable VERSION '0.1' reads a dump of that version, and can be updated then.
DATA = extension/upgrade/durable--0.1.sql
DATA_built = $(DURABLE_SQL) $(DURABLE_UPGRADE)
EXTRA_CLEAN = $(DURABLE_SQL) $(DUNGEON_SQL) $(DURABLE_UPGRADE) $(DUNGEON_UPGRADE) clients/dungeon/dungeon clients/durable/durable clients/serve/www.c \
	$(patsubst %.c,%.o,$(wildcard clients/*/*.c clients/*/*/*.c)) clients/serve/www.o tmp_check output_iso test/results test/output_iso

# PGXS would run all tests in one database; ours get one each (see installcheck below).
NO_INSTALLCHECK = 1

ifneq ($(GAME),no)
EXTENSION += durable_dungeon
DATA += extension/upgrade/durable_dungeon--0.1.sql
DATA_built += $(DUNGEON_SQL) $(DUNGEON_UPGRADE)
SCRIPTS_built = clients/dungeon/dungeon
endif
SCRIPTS_built += clients/durable/durable

# --- targets that bring their own server; they do not need pg_config to be there yet -------------------------------------

OWN_SERVER = play stop clean-play check chaos check-versions devserver bench bench-peers

ifneq ($(filter $(OWN_SERVER),$(MAKECMDGOALS)),)

# PGXS has a target "check" of its own (it only says that it cannot), so it stays out of this branch, and
# goals of the other branch that are asked for in the same breath get a make of their own.
.PHONY: $(MAKECMDGOALS)
$(filter $(OWN_SERVER),$(MAKECMDGOALS)):
	@PG_CONFIG='$(if $(filter environment command,$(origin PG_CONFIG)),$(PG_CONFIG))' \
	KEEP='$(KEEP)' SUITES='$(SUITES)' TESTS='$(TESTS)' VERSIONS='$(VERSIONS)' scripts/$@

$(filter-out $(OWN_SERVER),$(MAKECMDGOALS)):
	@$(MAKE) $@

else

all:

override with_llvm := $(WITH_LLVM)
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error "$(PG_CONFIG)" not found; install postgresql-server-dev-NN or set PG_CONFIG, or type "make play", which needs nothing prepared)
endif
ifeq ($(wildcard $(shell $(PG_CONFIG) --includedir-server)/postgres.h),)
$(error the header files of "$(PG_CONFIG)"'s server are missing; install postgresql-server-dev-NN, or type "make play", which needs nothing prepared)
endif
include $(PGXS)

# PostgreSQL is rarely configured with dependency tracking; rebuilding on any header change is cheap enough.
$(OBJS): $(HEADERS)

# The guard refuses psql -f; CREATE EXTENSION skips lines that begin with \echo.
define concatenate
	@echo "concatenating $@"
	@{ printf '%s\n' '\echo Use "CREATE EXTENSION $(1)" to load this file. \quit' && \
	for f in $(filter %.sql,$^); do printf '\n-- %s\n\n' "$$f" && cat "$$f" || exit 1; done; } >$@.tmp
	@mv -f $@.tmp $@
endef

# The folder is a prerequisite so that a removed topic is noticed too.
$(DURABLE_SQL): $(sort $(wildcard extension/durable/*.sql)) extension/durable durable.control Makefile
	$(call concatenate,durable)

$(DUNGEON_SQL): $(sort $(wildcard extension/durable_dungeon/*.sql)) extension/durable_dungeon durable_dungeon.control Makefile
	$(call concatenate,durable_dungeon)

# upgrade(extension,settings of replace.awk): what is written by hand, with the topics of the install script between.
define upgrade
	@echo "generating $@"
	@{ printf '%s\n' '\echo Use "ALTER EXTENSION $(1) UPDATE" to load this file. \quit' && \
	cat extension/upgrade/$(@:.sql=.before.sql) && \
	awk $(2) -f extension/upgrade/replace.awk extension/upgrade/$(1)--0.1.sql extension/upgrade/$(@:.sql=.before.sql) \
		$(sort $(wildcard extension/$(1)/*.sql)) && \
	cat extension/upgrade/$(@:.sql=.after.sql); } >$@.tmp
	@mv -f $@.tmp $@
endef

$(DURABLE_UPGRADE): $(DURABLE_SQL) $(wildcard extension/upgrade/*)
	$(call upgrade,durable)

$(DUNGEON_UPGRADE): $(DUNGEON_SQL) $(wildcard extension/upgrade/*)
	$(call upgrade,durable_dungeon,-v leave_out='^REVOKE ')

# --- tests against a server that is already there: as in make check, each file in a new database with the extensions ----

.PHONY: installcheck
installcheck:
	@scripts/installcheck '$(bindir)' '$(dir $(PGXS))../test' '$(GAME)'

# --- the clients: ordinary programs, not server modules -------------------------------------------------------------------

# dungeon plays the game: libpq, libedit.  durable operates the engine, and "durable serve" is the gateway: libpq, libevent,
# OpenSSL, and the files of web/, which are built in.  What both programs need is in clients/common.
objects_of = $(sort $(patsubst %.c,%.o,$(wildcard $(1:%=clients/%/*.c))))
COMMON_OBJS = $(call objects_of,common)
DUNGEON_OBJS = $(call objects_of,dungeon)
DURABLE_OBJS = $(call objects_of,durable)
# Without the headers of nghttp2 "durable serve" has no gRPC, and says so.
HAVE_NGHTTP2 := $(shell printf '\043include <nghttp2/nghttp2.h>\n' | $(CC) $(CPPFLAGS) -E - >/dev/null 2>&1 && echo yes)
GRPC_NONE = clients/serve/grpc/listen_none.o
GRPC_OBJS = $(if $(HAVE_NGHTTP2),$(filter-out $(GRPC_NONE),$(call objects_of,serve/grpc)),$(GRPC_NONE))
GRPC_LIBS = $(if $(HAVE_NGHTTP2),-lnghttp2 -levent_openssl -lssl)
SERVE_OBJS = $(sort $(call objects_of,serve) clients/serve/www.o $(GRPC_OBJS))
CLIENT_OBJS = $(COMMON_OBJS) $(DUNGEON_OBJS) $(DURABLE_OBJS) $(SERVE_OBJS)

$(CLIENT_OBJS): override CFLAGS := $(filter-out -fPIC -fvisibility=hidden,$(CFLAGS))
$(CLIENT_OBJS): override CPPFLAGS = -D_GNU_SOURCE -I$(shell $(PG_CONFIG) --includedir) -I$(@D) -Iclients/common
$(SERVE_OBJS): override CPPFLAGS += $(SERVE_CPPFLAGS)
$(COMMON_OBJS) $(DUNGEON_OBJS) $(DURABLE_OBJS): $(wildcard clients/common/*.h)
$(DUNGEON_OBJS): $(wildcard clients/dungeon/*.h)
$(DURABLE_OBJS): $(wildcard clients/durable/*.h)
$(SERVE_OBJS): $(wildcard clients/serve/*.h clients/serve/grpc/*.h)

clients/dungeon/dungeon: $(COMMON_OBJS) $(DUNGEON_OBJS)
	$(CC) $(filter-out -fPIC,$(CFLAGS)) $^ -L$(shell $(PG_CONFIG) --libdir) $(LDFLAGS) -lpq -ledit -o $@

clients/serve/www.c: clients/serve/embed $(shell find web -type f 2>/dev/null) Makefile
	clients/serve/embed web >$@.tmp
	@mv -f $@.tmp $@

clients/durable/durable: $(COMMON_OBJS) $(DURABLE_OBJS) $(SERVE_OBJS)
	$(CC) $(filter-out -fPIC,$(CFLAGS)) $^ -L$(shell $(PG_CONFIG) --libdir) $(LDFLAGS) $(SERVE_LDFLAGS) -lpq $(GRPC_LIBS) -levent -lcrypto -o $@

# --- manual pages, and completion for bash -------------------------------------------------------------------------------

# Below the directories of PostgreSQL, where everybody who may install the extension may write.
MAN_PAGES = clients/man/durable.1 $(if $(filter no,$(GAME)),,clients/man/dungeon.1)
BASH_COMPLETION_DIR ?= $(datadir)/bash-completion/completions

install: install-manuals
uninstall: uninstall-manuals

.PHONY: install-manuals uninstall-manuals
install-manuals:
	$(MKDIR_P) '$(DESTDIR)$(mandir)/man1' '$(DESTDIR)$(BASH_COMPLETION_DIR)'
	$(INSTALL_DATA) $(MAN_PAGES) '$(DESTDIR)$(mandir)/man1/'
	$(INSTALL_DATA) clients/completion/durable.bash '$(DESTDIR)$(BASH_COMPLETION_DIR)/durable'

uninstall-manuals:
	rm -f $(patsubst clients/man/%,'$(DESTDIR)$(mandir)/man1/%',$(MAN_PAGES)) '$(DESTDIR)$(BASH_COMPLETION_DIR)/durable'

endif
