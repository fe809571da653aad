#!/usr/bin/env bash
# repl_switchover while PgBouncer holds the clients: they wait for a moment instead of seeing an error.
#
# Either everything goes over, or the clients go on with the old server and nothing has changed, also after Ctrl-C or a
# signal. May be run again in any case. Reads from the environment:
#
#   SUBSCRIPTION   name of the subscription: heroku
#   TARGET         conninfo of the database with pg_decamp, as who called repl_start
#   CONSOLE        conninfo of PgBouncer's console: host=127.0.0.1 port=6432 dbname=pgbouncer user=...
#   APPLICATION    user=app, and sslmode and the like: how the application logs in; its password best in ~/.pgpass
#   INI            the file with PgBouncer's [databases], to be rewritten: /etc/pgbouncer/pgbouncer.ini
#   DATABASE       the entry there that is to change: app
#   NEW            what is to stand right of its "=": host=new-host port=5432 dbname=app
#   VERIFY         count or none, for repl_switchover (count)
#   PAUSE_TIMEOUT  seconds that transactions at hand get to end (5)
#   MAX_STALL      seconds that repl_switchover may take, its checks included (20); half of them is its max_downtime
set -euo pipefail
: "${SUBSCRIPTION:?}" "${TARGET:?}" "${CONSOLE:?}" "${APPLICATION:?}" "${INI:?}" "${DATABASE:?}" "${NEW:?}"
verify=${VERIFY:-count} pause_timeout=${PAUSE_TIMEOUT:-5} max_stall=${MAX_STALL:-20}
export PGCONNECT_TIMEOUT=5 DATABASE NEW
old=$(<"$INI") paused='' going='' over=''

say() { echo "$(date +%T) $*"; }

give_up() {
    say "$*" >&2
    exit 1
}

console() { timeout --foreground 10 psql -XAtq -v ON_ERROR_STOP=1 -c "$1" "$CONSOLE"; }

# SQL from stdin, on the target, for no longer than so many seconds; psql is interrupted, which cancels the statement.
# To be called in a subshell, whose process it becomes.
target() {
    exec timeout --foreground --signal INT --kill-after 5 "$1" psql -X -v ON_ERROR_STOP=1 \
        -v name="$SUBSCRIPTION" -v verify="$verify" -v max_downtime="$((max_stall * 500)) ms" "${@:2}" "$TARGET"
}

status() { target 10 -Atq <<<"SELECT $1 FROM repl_status WHERE name = :'name'"; }

# Prints the file with the database's line exchanged.
exchanged() {
    awk '
        /^[ \t]*\[/ { inside = /^[ \t]*\[databases\]/ }
        { name = $0; sub(/[ \t]*=.*/, "", name); sub(/^[ \t]*/, "", name) }
        inside && name == ENVIRON["DATABASE"] { found = 1; print name " = " ENVIRON["NEW"]; next }
        { print }
        END { exit !found }' <<<"$old"
}

# Logs in to the new server as the application does. Not by way of PgBouncer: a RELOAD under way closes connections that
# are just logging in, and then a client may be told that "server login has been failing".
try_new() {
    local word words=''
    for word in $NEW; do
        case $word in host=* | port=* | dbname=* | user=* | password=*) words+=" $word" ;; esac
    done
    timeout --foreground 15 psql -XAtqc 'SELECT 1' "$APPLICATION$words" >/dev/null
}

# Whether PgBouncer is just logging in to the database's server.
logging_in() {
    timeout --foreground 10 psql -XAq -c 'SHOW POOLS' "$CONSOLE" | awk -F '|' '
        NR == 1 { while ($++column != "sv_login" && column < NF); }
        $1 == ENVIRON["DATABASE"] { logins += $column }
        END { exit !logins }'
}

# Where the clients belong: new, when the switchover was committed; old, when it was not and the source takes writes.
# A call that was cut off is waited for: the apply worker lowers its fence. Prints nothing when the target does not answer.
outcome() {
    local place=''
    for _ in {1..100}; do
        place=$(status "CASE WHEN state = 'finished' THEN 'new'
                             WHEN fenced OR EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'pg_decamp switchover') THEN 'fenced'
                             ELSE 'old' END") || true
        [[ $place == fenced ]] || break
        sleep 0.1
    done
    echo "$place"
}

# Everything ends here. Should nobody be able to say where the clients belong, the old server is safe: if the switchover
# was committed it refuses writes, and no row comes to be in the wrong place.
finish() {
    local failed=$? place=old
    trap '' INT TERM HUP
    set +e
    if [[ $going ]]; then
        kill -INT "$going" 2>/dev/null
        wait "$going"
    fi
    [[ $paused ]] && place=${over:-$(outcome)}
    if [[ $place == new ]]; then
        exchanged >"$INI" && console RELOAD && console "RESUME $DATABASE" ||
            give_up "Switched over, but PgBouncer does not follow. By hand: \"$DATABASE = $NEW\" in $INI, then RELOAD; RESUME $DATABASE;"
        say "resumed, to the new server, after $((SECONDS - paused)) s"
        say "next: SELECT repl_stop('$SUBSCRIPTION'); on the target, when nobody uses the old server any more"
        exit 0
    fi
    if [[ $paused ]]; then
        console "RESUME $DATABASE" || say "By hand, on PgBouncer's console: RESUME $DATABASE;"
        say "resumed, to the old server, after $((SECONDS - paused)) s"
    fi
    case $place in
    old) say "Nothing has changed: clients are at the old server. Mend what is told above and run this again." ;;
    fenced) say "The old server still refuses writes. On the target: SELECT repl_unfence('$SUBSCRIPTION');" ;;
    *) say "The target does not answer. If it has switched over, the old server refuses writes. Run this again when it answers." ;;
    esac
    exit "$((failed ? failed : 1))"
} >&2
trap finish EXIT
trap 'exit 130' INT TERM HUP

exchanged >/dev/null || give_up "$INI has no line \"$DATABASE = ...\" in [databases]"
patience=$(console 'SHOW CONFIG' | sed -n 's/^query_wait_timeout|\([0-9]*\).*/\1/p')
((patience == 0 || patience > pause_timeout + max_stall + 15)) ||
    give_up "PgBouncer's query_wait_timeout of $patience s would end clients that wait: SET query_wait_timeout = $((pause_timeout + max_stall + 20)); on its console"

say "trying the new server"
try_new || give_up "the application cannot log in to \"$NEW\": role, password, pg_hba.conf?"

if [[ $(status state) == finished ]]; then
    say "the switchover has been done before"
else
    say "rehearsing; what takes long here the clients would wait for"
    begin=$SECONDS
    (target 3600 <<<"SELECT step, outcome, took, message FROM repl_switchover(:'name', verify => :'verify', max_downtime => :'max_downtime', dry_run => true)")
    ((SECONDS - begin < max_stall)) ||
        give_up "that took $((SECONDS - begin)) s of MAX_STALL=$max_stall: VERIFY=none leaves out the count (do repl_verify before), or raise MAX_STALL"
fi

say "pausing"
# a login that PAUSE cuts off counts as failed, which PgBouncer may tell a client after RESUME
for _ in {1..50}; do
    logging_in || break
done
paused=$SECONDS
timeout --foreground "$pause_timeout" psql -XAtq -v ON_ERROR_STOP=1 -c "PAUSE $DATABASE" "$CONSOLE" ||
    give_up "transactions did not end within $pause_timeout s (or pool_mode is session, where PAUSE waits for clients to leave)"
if [[ $(status state) != finished ]]; then
    say "paused after $((SECONDS - paused)) s; going over"
    # in the background, because bash would take a signal only after it
    target "$max_stall" <<<"SELECT step, outcome, took, message FROM repl_switchover(:'name', verify => :'verify', max_downtime => :'max_downtime')" &
    going=$!
    wait "$going"
    over=new going=''
fi
