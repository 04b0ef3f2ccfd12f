# shellcheck shell=bash
# What scripts/bench and scripts/bench-peers share: the build, the driver, and a server with the settings that
# docs/performance.md names. Sourced after scripts/lib.sh.

if [ -z "${BENCH_DIR:-}" ]; then
	if [ "$(id -u)" -eq 0 ]; then
		BENCH_DIR=/var/lib/durable_bench
	else
		BENCH_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/durable_bench
	fi
fi

bench_build() {
	need check
	mkdir -p "$BENCH_DIR"
	BENCH_DIR=$(cd "$BENCH_DIR" && pwd -P)
	build_in "$BENCH_DIR/build" GAME=no
	rm -rf "$BENCH_DIR/root"
	install_in "$BENCH_DIR/root" GAME=no
	local libraries=(-lpq)
	if printf '#include <nghttp2/nghttp2.h>\n' | gcc -E - >/dev/null 2>&1; then libraries+=(-lnghttp2); fi
	gcc -O2 -Wall -Wextra -D_GNU_SOURCE -I"$("$PG_CONFIG" --includedir)" -o "$BENCH_DIR/driver" \
		"$BUILD"/bench/driver/*.c -L"$("$PG_CONFIG" --libdir)" "${libraries[@]}" || die "could not build the benchmark's driver"
}

# The settings. Everything that makes commits durable is on, as it is by default; memory and log are given room, so that
# checkpoints do not fall into one run and not into another; the rest is stock.
bench_start() {
	cluster_stop "$BENCH_DIR" immediate
	rm -rf "$BENCH_DIR/data" "$BENCH_DIR/server.log"
	cluster_init "$BENCH_DIR"
	cluster_conf "$BENCH_DIR" "$BENCH_DIR/root" <<-'CONF'
		shared_preload_libraries = 'durable'
		fsync = on
		synchronous_commit = on
		full_page_writes = on
		shared_buffers = 1GB
		max_wal_size = 8GB
		checkpoint_timeout = 30min
		max_connections = 200
		max_worker_processes = 24
		log_line_prefix = '%m [%p] %b %q%u@%d '
	CONF
	cluster_start "$BENCH_DIR"
}

bench_conninfo() { echo "host=$(socket_dir "$BENCH_DIR") port=5432"; }

# bench_driver ROW [OPTION=VALUE...]: a row that hangs must not hang everything.
bench_driver() {
	local limit=900
	[ "${BENCH_FULL:-0}" = 0 ] || limit=14400
	as_server timeout "$limit" "$BENCH_DIR/driver" "$1" conninfo="$(bench_conninfo)" \
		workloads="$BENCH_DIR/build/bench/workloads.sql" data="$BENCH_DIR/data" durable="$BENCH_DIR/build/clients/durable/durable" "${@:2}" </dev/null
}

# bench_show: the figures of the lines on standard input, which go on to standard output, on the terminal.
bench_show() {
	perl -MJSON::PP -ne '
		BEGIN { $| = 1 }
		print;
		my $figure = eval { decode_json($_) } or next;
		printf STDERR "  %-16s %-28s %14.2f %s\n", $figure->{system} // "durable", @$figure{qw(measure value unit)} if exists $figure->{value};'
}

bench_drop_databases() {
	local database
	cluster_sql "$BENCH_DIR" postgres postgres -c "SELECT datname FROM pg_database WHERE datname LIKE 'bench%' OR datname LIKE 'peer%'" |
		while read -r database; do
			cluster_sql "$BENCH_DIR" postgres postgres -c "DROP DATABASE \"$database\" WITH (FORCE)" </dev/null
		done
	# What the last rows left to be written must not be written during the next.
	cluster_sql "$BENCH_DIR" postgres postgres -c CHECKPOINT
}

# A figure taken beside a crash is no figure.
bench_check_log() {
	! grep -nE 'PANIC:|TRAP: |was terminated by signal|ERROR:.*durable (worker|coordinator)' "$BENCH_DIR/server.log" ||
		die "the server's log has the lines above"
}

# What was measured; results and documents that a run before has written do not make it another.
bench_commit() {
	local commit
	commit=$(git -C "$TOP" describe --always 2>/dev/null) || { echo unknown; return; }
	git -C "$TOP" diff --quiet HEAD -- . ':!bench/results' ':!docs' 2>/dev/null || commit+=-dirty
	echo "$commit"
}

# bench_report RAW RESULTS: the table on the terminal; results.json, table.md and plots in RESULTS.
bench_report() {
	mkdir -p "$2"
	perl "$TOP/bench/report" "$1" "$2" \
		postgresql="$("$PG_CONFIG" --version)" \
		processors="$(nproc)" \
		cpu="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
		memory="$(awk '/MemTotal/ { printf "%.0f GB", $2 / 1e6 }' /proc/meminfo)" \
		commit="$(bench_commit)" \
		full="${BENCH_FULL:-0}"
}
