# bash completion for durable and dungeon: commands and options, as --help lists them, and instance ids, names of queues
# and schedules, as the database lists them.

# The words before the command that say where the database is.
_durable_connection() {
	local i
	connection=() command='' command_at=0
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
			-h | -p | -U | -d | --host | --port | --username | --dbname | --role)
				connection+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}")
				((i++)) ;;
			-*) ;;
			*) [ -n "$command" ] || { command=${COMP_WORDS[i]} command_at=$i; } ;;
		esac
	done
}

# Lines as candidates; a line with a blank or a quote in it is quoted.
_durable_lines() {
	local line
	while IFS= read -r line; do
		[[ $line == "$current"* ]] && COMPREPLY+=("$(printf '%q' "$line")")
	done
}

# Instances that fit the options of "durable list".
_durable_ids() {
	_durable_lines < <(PGCONNECT_TIMEOUT=2 "$program" "${connection[@]}" list -q --limit 200 --prefix "$current" "$@" 2>/dev/null)
}

_durable() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]}
	local connection command command_at
	COMPREPLY=()
	_durable_connection
	case $previous in
		--status) mapfile -t COMPREPLY < <(compgen -W 'Pending Running Suspended Completed Failed Terminated' -- "$current"); return ;;
		--on-conflict) mapfile -t COMPREPLY < <(compgen -W 'error return replace_finished' -- "$current"); return ;;
		--queue | -Q)
			_durable_lines < <(PGCONNECT_TIMEOUT=2 "$program" "${connection[@]}" queues -q 2>/dev/null)
			return ;;
	esac
	if [[ $current == -* ]]; then
		# shellcheck disable=SC2086 # no command is no word
		mapfile -t COMPREPLY < <(compgen -W "$("$program" $command --help 2>/dev/null | grep -oE '^ +(-[a-zA-Z0-9], )?--[a-z-]+' | grep -oE -- '--[a-z-]+')" -- "$current")
		return
	fi
	if [ -z "$command" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$("$program" --help 2>/dev/null | sed -nE 's/^  ([a-z]+) +[a-z].*/\1/p')" -- "$current")
		return
	fi
	case $command in
		history | explain | wait | purge | restart)
			_durable_ids ;;
		event)
			[ $((COMP_CWORD - command_at)) -ne 1 ] ||
				_durable_ids --live ;;
		terminate | suspend)
			_durable_ids --live ;;
		resume)
			_durable_ids --status Suspended ;;
		rewind)
			_durable_ids --failed ;;
		queues | schedules)
			if [ $((COMP_CWORD - command_at)) -eq 1 ]; then
				mapfile -t COMPREPLY < <(compgen -W "pause unpause $([ "$command" = queues ] || echo trigger)" -- "$current")
			else
				_durable_lines < <(PGCONNECT_TIMEOUT=2 "$program" "${connection[@]}" "$command" -q 2>/dev/null)
			fi ;;
	esac
}

complete -F _durable durable dungeon
