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
NEWEST=19

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

# Development files that were unpacked (see unpack_development), and apt's log. make clean-play removes it.
if [ -n "${DURABLE_CACHE:-}" ]; then
	CACHE=$DURABLE_CACHE
elif [ "$(id -u)" -eq 0 ]; then
	CACHE=/var/cache/durable
else
	CACHE=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/durable
fi
# Scripts that run below this one as another user (tests) use the same.
export DURABLE_CACHE=$CACHE

# find_postgres [PG_CONFIG]: the newest PostgreSQL that has both a server and the files to build extensions; the
# argument or the variable PG_CONFIG names another. Fails without a message when there is none. Sets PG_CONFIG and the
# directories that it prints.
find_postgres() {
	local candidate usable best='' version best_version=0
	[ $# -eq 0 ] || PG_CONFIG=$1
	if [ -n "${PG_CONFIG:-}" ]; then
		candidate=$(command -v "$PG_CONFIG") || die "PG_CONFIG: no such program"
		best=$(usable_postgres "$candidate") ||
			die "\"$candidate\" does not belong to a PostgreSQL $OLDEST to $NEWEST with its server and its development files"
	else
		for candidate in /usr/lib/postgresql/*/bin/pg_config /usr/pgsql-*/bin/pg_config "$(command -v pg_config || true)"; do
			usable=$(usable_postgres "$candidate") || continue
			version=$(major_of "$candidate")
			if [ "$version" -gt "$best_version" ]; then
				best=$usable best_version=$version
			fi
		done
	fi
	[ -n "$best" ] || return 1
	export PG_CONFIG=$best
	use_server "$best"
	# shellcheck disable=SC2034 # scripts/check uses it
	PGXSDIR=$(cd "$(dirname "$("$best" --pgxs)")/../.." && pwd)
}

# use_server PG_CONFIG: set what is needed to run a server; its development files may be gone.
use_server() {
	[ -x "$1" ] || die "there is no \"$1\"; set PG_CONFIG to the pg_config of a PostgreSQL $OLDEST to $NEWEST"
	PGMAJOR=$(major_of "$1")
	BINDIR=$("$1" --bindir)
	PKGLIBDIR=$("$1" --pkglibdir)
	SHAREDIR=$("$1" --sharedir)
}

major_of() { "$1" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'; }

# usable_postgres PG_CONFIG: print the pg_config to build with, which is another one where the development files were
# unpacked. Fails when the server or the development files are missing.
usable_postgres() {
	local version
	[ -n "$1" ] && [ -x "$1" ] && [ -x "$("$1" --bindir)/postgres" ] || return 1
	version=$(major_of "$1")
	{ [ "$version" -ge $OLDEST ] && [ "$version" -le $NEWEST ]; } || return 1
	if has_development_files "$1"; then
		echo "$1"
	elif [ -x "$CACHE/$version/pg_config" ] && [ "$("$CACHE/$version/pg_config" --bindir)" = "$("$1" --bindir)" ]; then
		echo "$CACHE/$version/pg_config"
	else
		return 1
	fi
}

has_development_files() { [ -e "$("$1" --pgxs)" ] && [ -e "$("$1" --includedir-server)/postgres.h" ]; }

# need FOR...: find PostgreSQL and everything else that FOR ("play", "check") needs; install what is missing.
# Packages that come with a PostgreSQL version are asked for only where PostgreSQL is a Debian package.
need() {
	local version packages missing for
	if ! command -v dpkg-query >/dev/null; then
		find_postgres || die "PostgreSQL $OLDEST to $NEWEST with its development files is needed; set PG_CONFIG to its pg_config"
		return
	fi

	if [ -n "${PG_CONFIG:-}" ]; then
		use_server "$(command -v "$PG_CONFIG" || echo "$PG_CONFIG")"
		version=$PGMAJOR
		# A PostgreSQL that is not a Debian package brings its own parts.
		[ "$BINDIR" = "/usr/lib/postgresql/$version/bin" ] || version=''
	elif find_postgres; then
		version=$PGMAJOR
		[ "$BINDIR" = "/usr/lib/postgresql/$version/bin" ] || version=''
	else
		version=$(newest_package_version)
	fi

	# Who has to be asked is asked once, for both commands.
	missing=$(missing_packages "$1" "$version")
	if [ -n "$missing" ]; then
		for=$1
		as_root true 2>/dev/null || for="play check"
		# shellcheck disable=SC2046,SC2086 # several words are several names
		install_packages $(missing_packages "$for" "$version")
	fi
	[ "$version" != all ] || version=$(for server in /usr/lib/postgresql/*/bin/postgres; do basename "${server%/bin/postgres}"; done | in_range)
	[ -z "$version" ] || has_development_files "/usr/lib/postgresql/$version/bin/pg_config" || unpack_development "$version"
	find_postgres || die "PostgreSQL is installed now, but no pg_config of version $OLDEST to $NEWEST was found"
}

# missing_packages "FOR..." VERSION: VERSION is empty where PostgreSQL is no Debian package, "all" where it is not known.
missing_packages() {
	local packages=(gcc make libc6-dev libpq-dev libedit-dev libevent-dev libnghttp2-dev libssl-dev) package
	case $1 in
		*check*)
			packages+=(perl libipc-run-perl)
			# npm comes with nodejs where that is not Debian's.
			command -v node >/dev/null || packages+=(nodejs)
			command -v npm >/dev/null || packages+=(npm)
			;;
	esac
	if [ "$2" = all ]; then
		packages+=(postgresql)
	elif [ -n "$2" ]; then
		packages+=("postgresql-$2")
		case $1 in
			*check*)
				packages+=("postgresql-plperl-$2" "postgresql-plpython3-$2")
				# Debian has these for a new version later than the server.
				for package in "postgresql-$2-pgtap" "postgresql-$2-cron"; do
					if has_package "$package" || ! has_package "postgresql-$2"; then packages+=("$package"); fi
				done
				;;
		esac
	fi
	for package in "${packages[@]}"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || echo "$package"
	done
}

# need_browser: Chromium, and Node.js with npm, for the tests of the web pages.  Fails when they cannot be had.
need_browser() {
	local packages=()
	command -v chromium >/dev/null || packages+=(chromium fonts-dejavu-core)
	command -v node >/dev/null || packages+=(nodejs)
	command -v npm >/dev/null || packages+=(npm)
	[ ${#packages[@]} -gt 0 ] || return 0
	command -v dpkg-query >/dev/null && as_root true 2>/dev/null || return 1
	(install_packages "${packages[@]}")
}

# The version to install where there is no complete PostgreSQL: that of a server which lacks only the development
# files, else the newest on offer, else that of the Debian release, else "all" (the metapackage).
newest_package_version() {
	local version
	version=$(for server in /usr/lib/postgresql/*/bin/postgres; do
		[ ! -x "$server" ] || basename "${server%/bin/postgres}"
	done | in_range)
	if [ -z "$version" ]; then
		version=$(packages_on_offer)
		if [ -z "$version" ] && as_root true 2>/dev/null; then
			apt_quietly 'reading the list of packages' 'apt-get -q update'
			version=$(packages_on_offer)
		fi
	fi
	[ -n "$version" ] || case $(. /etc/os-release && echo "${VERSION_CODENAME:-}") in
		bookworm) version=15 ;;
		noble) version=16 ;;
		trixie) version=17 ;;
	esac
	echo "${version:-all}"
}

has_package() { apt-cache pkgnames "$1" | grep -xF "$1" >/dev/null; }
packages_on_offer() { apt-cache pkgnames postgresql-server-dev- | sed 's/.*-//' | in_range; }
in_range() { { grep -xE '[0-9]+' || true; } | awk -v lo=$OLDEST -v hi=$NEWEST '$1 >= lo && $1 <= hi' | sort -n | tail -n 1; }

as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# install_packages NAME...: as root or through a sudo that asks nothing; otherwise print the one line to run and exit 3.
# Where no PostgreSQL was installed before, Debian would create and start a cluster on port 5432: a file read by its
# packages says no. An existing file is the administrator's and stays.
install_packages() {
	local conf=/etc/postgresql-common/createcluster.conf before='' install
	[ -e $conf ] || [[ " $* " != *" postgresql"* ]] ||
		before="mkdir -p ${conf%/*} && echo create_main_cluster = false >$conf && "
	install="install -y --no-install-recommends $*"
	if as_root true 2>/dev/null; then
		say "installing packages: $*"
		apt_quietly 'installing packages' "${before}apt-get -q update && apt-get -q -o APT::Status-Fd=3 $install" ||
			{ say "error: could not install: $*"; exit 3; }
		[ -z "$before" ] ||
			say "Debian's packages would have started a server on port 5432; $conf, a new file, keeps them from it."
	else
		say "These packages are missing for make play and make check: $*"
		say "Run this line, then try again:"
		before="${before}apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q $install"
		if command -v sudo >/dev/null; then say "  sudo sh -c '$before'"; else say "  su -c '$before'"; fi
		exit 3
	fi
}

# apt_quietly TITLE COMMAND: run a shell command as root; what it prints goes to CACHE/packages.log, whose end is shown
# when the command fails. On a terminal one line shows how far apt is (it says so on descriptor 3).
apt_quietly() {
	local title=$1 command=$2 log=$CACHE/packages.log kind number percent rest status=1
	mkdir -p "$CACHE"
	: >"$log"
	while IFS=: read -r kind number percent rest; do
		case $kind in
			end) status=$number; break ;;
			dlstatus | pmstatus) [ ! -t 2 ] || printf '\r%s: %s, %3.0f %% ' "$title" \
				"$([ "$kind" = dlstatus ] && echo 'downloading' || echo 'unpacking  ')" "${percent%%.*}" >&2 ;;
		esac
	done < <(as_root sh -c "exec 3>&1 1>&2; status=0; export DEBIAN_FRONTEND=noninteractive
		($command) || status=\$?
		echo end:\$status >&3" 2>>"$log" </dev/null || echo end:1)
	[ ! -t 2 ] || printf '\r\033[K' >&2
	[ "$status" -eq 0 ] || { tail -n 40 "$log" >&2; say "all of it is in $log"; }
	return "$status"
}

# unpack_development VERSION: make PostgreSQL's headers and build files available without installing their package,
# because Debian's postgresql-server-dev-VERSION depends on clang and LLVM (90 MB to download, 570 MB on disk), which
# only bitcode for the JIT compiler would need. The package is unpacked into CACHE/VERSION; the pg_config there tells
# where its headers are.
unpack_development() {
	local version=$1 package=postgresql-server-dev-$1 dir=$CACHE/$1 server
	server=$(dpkg-query -W -f '${Version}' "postgresql-$version")
	[ "$(cat "$dir/version" 2>/dev/null || true)" != "$server" ] || return 0
	rm -rf "$dir.new"
	mkdir -p "$dir.new"
	# A system may have been cleaned of its lists of packages.
	if [ -z "$(apt-cache madison "$package" 2>/dev/null)" ] && as_root true 2>/dev/null; then
		apt_quietly 'reading the list of packages' 'apt-get -q update' || true
	fi
	if ! (cd "$dir.new" && { apt-get -q download "$package=$server" || apt-get -q download "$package"; } && dpkg-deb -x ./*.deb .) \
		>"$CACHE/packages.log" 2>&1 </dev/null; then
		rm -rf "$dir.new"
		# Those of another minor release will do.
		[ ! -x "$dir/pg_config" ] || return 0
		tail -n 5 "$CACHE/packages.log" >&2
		die "could not download $package; run \"apt-get update\" as root, or install $package, then try again"
	fi
	rm -f "$dir.new"/*.deb
	cat >"$dir.new/pg_config" <<-SCRIPT
		#!/bin/sh
		# PostgreSQL $version, whose development files are unpacked here and not installed.
		[ \$# -eq 1 ] || exec /usr/lib/postgresql/$version/bin/pg_config "\$@"
		case \$1 in
		    --pkgincludedir) echo '$dir/usr/include/postgresql' ;;
		    --includedir-server) echo '$dir/usr/include/postgresql/$version/server' ;;
		    *) exec /usr/lib/postgresql/$version/bin/pg_config "\$1" ;;
		esac
	SCRIPT
	chmod 755 "$dir.new/pg_config"
	echo "$server" >"$dir.new/version"
	rm -rf "$dir"
	mv "$dir.new" "$dir"
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
	for part in Makefile *.control LICENSE *.md .shellcheckrc .ci src extension clients web scripts sql expected test docs bench examples; do
		[ ! -e "$part" ] || parts+=("$part")
	done
	# A source that is gone must not linger in the copy and be compiled.
	(cd "$build" && find . -type f ! -name '*.o' ! -name '*.bc' ! -name '*.so' ! -name 'durable*--*.sql' \
		! -path ./clients/dungeon/dungeon ! -path ./clients/durable/durable ! -path ./clients/serve/www.c) |
		while read -r file; do [ -f "$TOP/$file" ] || rm -f "$build/$file"; done
	# Exit 1 of tar only says that somebody was saving a file meanwhile.
	{ tar --exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude=clients/dungeon/dungeon --exclude=clients/durable/durable \
		--exclude=clients/serve/www.c --exclude=node_modules \
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

# how_to TARGET: the make command for this state directory, as it is to be typed.
how_to() {
	[ -z "${DURABLE_DUNGEON_STATE:-}" ] || printf 'DURABLE_DUNGEON_STATE=%q ' "$(game_state)"
	printf 'make %s' "$1"
}

# The client looks in the same places for the file "connection", one libpq conninfo line.
game_state() {
	# make, lists of directories and postgresql.conf give these a meaning of their own.
	[[ ${DURABLE_DUNGEON_STATE:-} != *[\'\"\`\$\\:%$'\n']* ]] ||
		die "DURABLE_DUNGEON_STATE cannot contain quotes, backslashes, colons, line breaks, dollar or percent signs"
	if [ -n "${DURABLE_DUNGEON_STATE:-}" ]; then
		case $DURABLE_DUNGEON_STATE in /*) echo "$DURABLE_DUNGEON_STATE" ;; *) echo "$PWD/$DURABLE_DUNGEON_STATE" ;; esac
	elif [ "$(id -u)" -eq 0 ]; then
		echo /var/lib/durable_dungeon
	else
		echo "${XDG_STATE_HOME:-$HOME/.local/state}/durable_dungeon"
	fi
}

# --- the gateway of make play -------------------------------------------------------------------------------------------

# gateway_start DIR: start DIR/root's durable serve for the database of DIR/connection, and print its address.
gateway_start() {
	local dir=$1 address='' i
	gateway_stop "$dir"
	rm -f "$dir/serve.log"
	# The page's crash button runs scripts/crash as the server's user.
	: >>"$dir/ctl.log"
	give_to_server "$dir/ctl.log"
	as_server setsid "$dir/root$BINDIR/durable" serve -d "$(sed 's/user=dungeon/user=web/' "$dir/connection")" --cors '*' --crash-command "$dir/bin/crash" \
		>"$dir/serve.log" 2>&1 </dev/null 9>&- &
	for ((i = 0; i < 100; i++)); do
		address=$(grep -m 1 '^http://' "$dir/serve.log" 2>/dev/null || true)
		[ -z "$address" ] || break
		sleep 0.1
	done
	[ -n "$address" ] || { cat "$dir/serve.log" >&2; return 1; }
	pgrep -f "^$dir/root$BINDIR/durable serve " | head -n 1 >"$dir/serve.pid"
	echo "$address"
}

# gateway_stop DIR: stop it, if it runs.
gateway_stop() {
	local pid
	pid=$(cat "$1/serve.pid" 2>/dev/null || true)
	[ -n "$pid" ] || return 0
	if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$1/root" ; then
		kill "$pid" 2>/dev/null || true
	fi
	rm -f "$1/serve.pid"
}
