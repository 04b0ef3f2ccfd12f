# shellcheck shell=bash
# What the scripts of this directory share: finding PostgreSQL, installing what is missing, building a private copy,
# and a server of our own that touches neither /usr nor port 5432.
#
# Words used here
#   top       the checkout
#   build     a private copy of the checkout in which make runs; the checkout may be read-only, or unreadable for
#             the user the server runs as (one under /root is)
#   root      what "make install DESTDIR=" fills; the only place our files are installed to
#   cluster   a directory with data/ (PGDATA), server.log, private.conf and the socket directory
#
# The server runs as the user who calls, except that PostgreSQL refuses root: root's servers run as postgres, or as
# nobody where there is no postgres. Files that root executes stay owned by root.
#
# Sourced, not executed. Sets -e: a command that may fail says so.

set -euo pipefail
umask 022
# PostgreSQL's test modules take LC_ALL away; without any LANG their clusters would be SQL_ASCII.
export LC_ALL=C.UTF-8 LANG=C.UTF-8

# Nothing of the caller's idea of a server may leak into ours, and no make of the caller's into our makes.
for variable in $(compgen -e); do
	case $variable in
		PG_CONFIG | PG_TEST_*) ;;
		PG* | MAKEFLAGS | MFLAGS | MAKEOVERRIDES | MAKELEVEL | DESTDIR) unset "$variable" ;;
	esac
done

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
OLDEST=15
NEWEST=18

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# --- who runs the server -----------------------------------------------------------------------------------------------

# as_server COMMAND...: run it as the user the server runs as, from a directory that user can read.
as_server() {
	if [ "$(id -u)" -ne 0 ]; then
		(cd / && exec "$@")
	else
		(cd / && HOME=/ exec setpriv --reuid="$(server_user)" --regid="$(id -g "$(server_user)")" --init-groups "$@")
	fi
}

server_user() {
	if [ "$(id -u)" -ne 0 ]; then id -un; elif id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

# give_to_server PATH...: hand files over to that user.
give_to_server() {
	[ "$(id -u)" -ne 0 ] || chown -R "$(server_user):$(id -gn "$(server_user)")" "$@"
}

# --- who has the terminal ----------------------------------------------------------------------------------------------

# at_terminal COMMAND...: run a program that uses the terminal, and Ctrl-C in its own way. Had this script and the make
# above it the signal too, make would call itself interrupted in the end, however the program ended. So the program is a job
# of its own, which alone the terminal sends its signals to. When Ctrl-Z stops it we have to stop as well, all of us: whoever
# called make waits for us, and would not get the terminal back.
at_terminal() {
	local status=0
	set -m
	"$@" || status=$?
	while [ -n "$(jobs -s)" ]; do
		kill -STOP 0
		status=0
		fg >/dev/null || status=$?
	done
	set +m
	return $status
}

# --- PostgreSQL and other packages -------------------------------------------------------------------------------------

# find_postgres [PG_CONFIG]: the newest PostgreSQL that has both a server and the files to build extensions; the
# argument or the variable PG_CONFIG names another. Fails without a word when there is none. Sets PG_CONFIG and what
# it says.
find_postgres() {
	local candidate best='' version best_version=0
	[ $# -eq 0 ] || PG_CONFIG=$1
	if [ -n "${PG_CONFIG:-}" ]; then
		PG_CONFIG=$(command -v "$PG_CONFIG") || die "PG_CONFIG: no such program"
		usable_postgres "$PG_CONFIG" ||
			die "\"$PG_CONFIG\" does not belong to a PostgreSQL $OLDEST to $NEWEST with its server and its development files"
		best=$PG_CONFIG
	else
		for candidate in /usr/lib/postgresql/*/bin/pg_config /usr/pgsql-*/bin/pg_config "$(command -v pg_config || true)"; do
			usable_postgres "$candidate" || continue
			version=$(major_of "$candidate")
			if [ "$version" -gt "$best_version" ]; then
				best=$candidate best_version=$version
			fi
		done
	fi
	[ -n "$best" ] || return 1
	export PG_CONFIG=$best
	PGMAJOR=$(major_of "$best")
	BINDIR=$("$best" --bindir)
	PKGLIBDIR=$("$best" --pkglibdir)
	SHAREDIR=$("$best" --sharedir)
	# shellcheck disable=SC2034 # scripts/check uses it
	PGXSDIR=$(cd "$(dirname "$("$best" --pgxs)")/../.." && pwd)
}

major_of() { "$1" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'; }

usable_postgres() {
	[ -n "$1" ] && [ -x "$1" ] && [ -x "$("$1" --bindir)/postgres" ] && [ -e "$("$1" --pgxs)" ] &&
		[ "$(major_of "$1")" -ge $OLDEST ] && [ "$(major_of "$1")" -le $NEWEST ]
}

# need FOR...: find PostgreSQL and everything else that FOR ("play", "check") needs; install what is missing.
# Packages that come with a PostgreSQL version are asked for only where PostgreSQL is a Debian package.
need() {
	local version packages=(gcc make libc6-dev libpq-dev libedit-dev) missing=() package
	[ "$1" = play ] || packages+=(perl libipc-run-perl)

	if ! command -v dpkg-query >/dev/null; then
		find_postgres || die "PostgreSQL $OLDEST to $NEWEST with its development files is needed; set PG_CONFIG to its pg_config"
		return
	fi

	if find_postgres; then
		version=$PGMAJOR
	else
		version=$(newest_package_version)
	fi
	if ! find_postgres || [ "$BINDIR" = "/usr/lib/postgresql/$version/bin" ]; then
		if [ "$version" = all ]; then
			packages+=(postgresql postgresql-server-dev-all)
		else
			packages+=("postgresql-$version" "postgresql-server-dev-$version")
			[ "$1" = play ] ||
				packages+=("postgresql-plperl-$version" "postgresql-plpython3-$version" "postgresql-$version-pgtap")
		fi
	fi

	for package in "${packages[@]}"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
	find_postgres || die "PostgreSQL is installed now, but no pg_config of version $OLDEST to $NEWEST was found"
}

# The version to install where there is no complete PostgreSQL: that of a server which lacks only the development
# files, else the newest on offer, else "all" (the metapackages) when we cannot know.
newest_package_version() {
	local version
	version=$(for server in /usr/lib/postgresql/*/bin/postgres; do
		[ ! -x "$server" ] || basename "$(dirname "$(dirname "$server")")"
	done | in_range)
	if [ -z "$version" ]; then
		version=$(packages_on_offer)
		if [ -z "$version" ] && as_root true 2>/dev/null; then
			as_root apt-get -q update >&2
			version=$(packages_on_offer)
		fi
	fi
	echo "${version:-all}"
}

packages_on_offer() { apt-cache pkgnames postgresql-server-dev- | sed 's/.*-//' | in_range; }
in_range() { { grep -xE '[0-9]+' || true; } | awk -v lo=$OLDEST -v hi=$NEWEST '$1 >= lo && $1 <= hi' | sort -n | tail -n 1; }

as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# install_packages NAME...: as root or through a sudo that asks nothing; otherwise print the one line to run and exit 3.
# Where no PostgreSQL was installed before, Debian would create and start a cluster on port 5432: a file read by its
# packages says no. An existing file is the administrator's and stays.
install_packages() {
	local conf=/etc/postgresql-common/createcluster.conf before='' line
	[ -e $conf ] || [[ " $* " != *" postgresql-"* ]] ||
		before="mkdir -p ${conf%/*} && echo create_main_cluster = false >$conf && "
	line="${before}apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $*"
	if as_root true 2>/dev/null; then
		say "installing: $*"
		as_root sh -c "$line" </dev/null >&2 || { say "error: could not install: $*"; exit 3; }
	else
		say "These packages are missing: $*"
		say "Run this line, then try again:"
		if command -v sudo >/dev/null; then say "  sudo sh -c '$line'"; else say "  su -c '$line'"; fi
		exit 3
	fi
}

# --- building and installing -------------------------------------------------------------------------------------------

# build_in BUILD [SETTING=VALUE...]: bring the private copy up to date and make it. What make said is in BUILD.log.
# Another PostgreSQL or other settings start from scratch, because make cannot see that they changed.
build_in() {
	local build=$1 stamp part parts=() file
	shift
	stamp="$PG_CONFIG $("$PG_CONFIG" --version) $*"
	[ "$(cat "$build.stamp" 2>/dev/null || true)" = "$stamp" ] || {
		say "building with $("$PG_CONFIG" --version) in $build (takes a minute)"
		rm -rf "$build"
	}
	mkdir -p "$build"
	echo "$stamp" >"$build.stamp"

	cd "$TOP"
	for part in Makefile *.control LICENSE *.md .shellcheckrc .ci src extension clients scripts sql expected test docs bench; do
		[ ! -e "$part" ] || parts+=("$part")
	done
	# A source that is gone must not linger in the copy and be compiled.
	(cd "$build" && find . -type f ! -name '*.o' ! -name '*.bc' ! -name '*.so' ! -name dungeon ! -name 'durable*--*.sql') |
		while read -r file; do [ -e "$TOP/$file" ] || rm -f "$build/$file"; done
	# Exit 1 of tar only says that somebody was saving a file meanwhile.
	{ tar --exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude=clients/dungeon --exclude=node_modules \
		-cf - "${parts[@]}" || [ $? -eq 1 ]; } | tar -C "$build" --no-same-owner -xf -
	cd - >/dev/null

	if ! make -C "$build" -j2 "$@" PG_CONFIG="$PG_CONFIG" >"$build.log" 2>&1 </dev/null; then
		tail -n 40 "$build.log" >&2
		die "could not build; all of make's output is in $build.log"
	fi
	BUILD=$build
}

# install_in ROOT [SETTING=VALUE...]: install the build there, and only there.
install_in() {
	local root=$1
	shift
	make -C "$BUILD" -s install DESTDIR="$root" PG_CONFIG="$PG_CONFIG" "$@" >>"$BUILD.log" 2>&1 </dev/null ||
		{ tail -n 20 "$BUILD.log" >&2; die "could not install into $root"; }
	[ "$(placement)" != tree ] || grow_tree "$root"
}

# placement: how a server finds files that are not below its own installation.
#   destdir   Debian's packages up to 17 have a setting extension_destdir
#   path      18 and later have extension_control_path
#   tree      others: a copy of the installation, because PostgreSQL looks for its files relative to its programs
placement() {
	if [ -n "${DURABLE_PLACEMENT:-}" ]; then
		echo "$DURABLE_PLACEMENT"
	elif [ "$PGMAJOR" -ge 18 ]; then
		echo path
	elif grep -qs '^#*extension_destdir' "$SHAREDIR/postgresql.conf.sample"; then
		echo destdir
	else
		echo tree
	fi
}

# placement_conf ROOT: the lines for postgresql.conf.
placement_conf() {
	set -- "${1//\'/\'\'}"
	case $(placement) in
		destdir) printf "extension_destdir = '%s'\ndynamic_library_path = '%s:\$libdir'\n" "$1" "$1$PKGLIBDIR" ;;
		path) printf "extension_control_path = '%s:\$system'\ndynamic_library_path = '%s:\$libdir'\n" "$1$SHAREDIR" "$1$PKGLIBDIR" ;;
	esac
}

# bin_of ROOT: the directory with the server's programs to use with this root.
bin_of() {
	if [ "$(placement)" = tree ]; then echo "$1.tree$BINDIR"; else echo "$BINDIR"; fi
}

# grow_tree ROOT: ROOT.tree becomes the installation plus what is in ROOT. The programs are copied (symbolic links
# would be followed back home), the rest is linked. Keeping the absolute paths keeps the relative ones.
grow_tree() {
	local tree=$1.tree dir stamp
	stamp=$(stat -c '%Y %s' "$BINDIR/postgres")
	if [ "$(cat "$tree/stamp" 2>/dev/null || true)" != "$stamp" ]; then
		rm -rf "$tree"
		mkdir -p "$tree$BINDIR"
		cp -L "$BINDIR"/* "$tree$BINDIR"
		for dir in "$PKGLIBDIR" "$SHAREDIR"; do
			mkdir -p "$tree$dir"
			# pgxs below the library directory is not needed to run
			(cd "$dir" && find -L . -path ./pgxs -prune -o -path ./bin -prune -o -type d -print) | while read -r d; do mkdir -p "$tree$dir/$d"; done
			(cd "$dir" && find -L . -path ./pgxs -prune -o -path ./bin -prune -o -type f -print) | while read -r f; do ln -sfn "$dir/$f" "$tree$dir/$f"; done
		done
		echo "$stamp" >"$tree/stamp"
	fi
	cp -r --remove-destination "$1/." "$tree/"
}

# --- a cluster of our own ----------------------------------------------------------------------------------------------

# socket_dir CLUSTER: prints the directory of its socket. A socket's path is limited to 107 bytes, and in connection
# strings and settings special characters need quotes of different kinds; so a cluster in a deep or oddly named
# directory has its socket in /tmp, under a name that nobody can have guessed, remembered in CLUSTER/socket_dir.
socket_dir() {
	local dir=$1/run
	if [ ${#dir} -gt 80 ] || [[ $dir =~ [^A-Za-z0-9/._-] ]]; then
		dir=$(cat "$1/socket_dir" 2>/dev/null || true)
		if [ -z "$dir" ] || [ "$(stat -c %U "$dir" 2>/dev/null || true)" != "$(server_user)" ]; then
			dir=$(mktemp -d /tmp/durable.XXXXXX)
			give_to_server "$dir"
			echo "$dir" >"$1/socket_dir"
		fi
	elif [ ! -d "$dir" ]; then
		mkdir -p "$dir"
		chmod 700 "$dir"
		give_to_server "$dir"
	fi
	echo "$dir"
}

# cluster_conf CLUSTER ROOT: settings read from standard input, added to those that make the cluster private.
cluster_conf() {
	{
		echo "# written by the scripts at every start"
		echo "listen_addresses = ''"
		echo "port = 5432"
		echo "unix_socket_directories = '$(socket_dir "$1")'"
		echo "unix_socket_permissions = 0700"
		placement_conf "$2"
		cat
	} >"$1/private.conf"
	echo "$2" >"$1/root_used"
}

# cluster_init CLUSTER: create it, with superuser postgres, unless it is there. It can be reached only through a socket
# in a directory that is the server user's alone, so no passwords.
cluster_init() {
	[ ! -s "$1/data/PG_VERSION" ] || return 0
	rm -rf "$1/data"
	mkdir -p "$1/data"
	give_to_server "$1/data"
	as_server "$BINDIR/initdb" --no-sync -A trust -U postgres --encoding=UTF8 --locale=C.UTF-8 -D "$1/data" >"$1/initdb.log" 2>&1 </dev/null ||
		{ cat "$1/initdb.log" >&2; die "could not create a cluster in $1/data"; }
	echo "include '${1//\'/\'\'}/private.conf'" | as_server tee -a "$1/data/postgresql.conf" >/dev/null
}

cluster_ctl() {
	local cluster=$1
	shift
	(
		close_inherited
		as_server "$(bin_of "$(cat "$cluster/root_used")")/pg_ctl" -D "$cluster/data" -s -w -t 180 "$@" </dev/null >>"$cluster/ctl.log" 2>&1
	)
}

# Descriptors of ours, or of whoever called the script (the pipe he reads our words from, a lock that he holds for as long
# as we run), must not live on in the server: he would wait for the server's end. bash closes 255, its own, by itself.
close_inherited() {
	local descriptor
	for descriptor in /proc/"$BASHPID"/fd/*; do
		descriptor=${descriptor##*/}
		case $descriptor in 0 | 1 | 2 | 255 | '*') ;; *) eval "exec $descriptor>&-" ;; esac
	done
}

cluster_running() {
	[ -s "$1/data/postmaster.pid" ] && [ -e "$1/root_used" ] && cluster_ctl "$1" status
}

cluster_start() {
	cluster_running "$1" && return
	socket_dir "$1" >/dev/null
	: >>"$1/server.log"
	give_to_server "$1/server.log"
	cluster_ctl "$1" -l "$1/server.log" start || { cluster_log "$1"; die "could not start the server in $1"; }
}

# cluster_stop CLUSTER [MODE]: fast unless told; not running is fine.
cluster_stop() {
	! cluster_running "$1" || cluster_ctl "$1" -m "${2:-fast}" stop || die "could not stop the server in $1"
}

cluster_log() {
	[ -s "$1/server.log" ] || return 0
	say "--- the last lines of $1/server.log"
	tail -n "${2:-40}" "$1/server.log" >&2
	say "---"
}

# cluster_sql CLUSTER DATABASE USER [psql's arguments]: one-off SQL, stops at the first error.
cluster_sql() {
	local cluster=$1 database=$2 user=$3
	shift 3
	as_server "$BINDIR/psql" -XqAt -v ON_ERROR_STOP=1 -h "$(socket_dir "$cluster")" -p 5432 -U "$user" -d "$database" "$@"
}

# --- where the game lives ----------------------------------------------------------------------------------------------

# The client looks in the same places for the file "connection", one libpq conninfo line.
game_state() {
	case ${DURABLE_DUNGEON_STATE:-} in *\'*) die "DURABLE_DUNGEON_STATE: make cannot cope with a quote in a path" ;; esac
	if [ -n "${DURABLE_DUNGEON_STATE:-}" ]; then
		echo "$DURABLE_DUNGEON_STATE"
	elif [ "$(id -u)" -eq 0 ]; then
		echo /var/lib/durable_dungeon
	else
		echo "${XDG_STATE_HOME:-$HOME/.local/state}/durable_dungeon"
	fi
}
