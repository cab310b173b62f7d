# What the scripts here share: servers on one core and load on another, databases with people who
# can sign in, and figures taken from reports. To be sourced from the top of the checkout.
# shellcheck shell=bash

rounds=${ROUNDS:-5}
round_seconds=${ROUND_SECONDS:-4}
export CARGO_TARGET_DIR=${PETSPARK_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/petspark/target}
release=$CARGO_TARGET_DIR/release
work=$(mktemp -d "${TMPDIR:-/tmp}/petspark-bench-XXXXXX")
pids=()
declare -A urls
server_core=()
load_core=()
password='correct horse battery'
people=200
connections=8

begin() {
    trap clean_up EXIT
    # With -p the dependencies have other features, and are built anew.
    cargo build --locked --release --quiet --workspace --exclude petspark-examples --bins
    pin_cores
    warn_if_busy
    head_line "Machine" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
}

# Two programs on one core would measure each other.
pin_cores() {
    if command -v taskset >/dev/null && (($(nproc) > 1)); then
        server_core=(taskset --cpu-list 0)
        load_core=(taskset --cpu-list 1)
    else
        warn "no taskset or a single core; server and load share what there is"
    fi
}

warn_if_busy() {
    local running
    # The fourth field is RUNNING/ALL, and whoever reads it is running.
    running=$(awk '{ split($4, tasks, "/"); print tasks[1] - 1 }' /proc/loadavg)
    if ((running > 0)); then
        warn "$running other tasks are running; these figures are not worth keeping"
    fi
}

start_postgres() {
    eval "$("${server_core[@]}" scripts/postgres start --for $$)"
}

# A database with people who can sign in, and pets; nothing of the caller's environment.
# Its requests and sign-ins are counted as everybody's are, by limits that no load reaches.
prepare() {
    local no_limit="1000000000/1s burst 1000000" many=1000000000
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$work/jwt-secret"
    chmod 600 "$work/jwt-secret"
    with_settings=("${server_core[@]}" env -i PATH="$PATH" PORT=0 PETSPARK_ENV=production PETSPARK_DATA_DIR="$work"
        DATABASE_URL="$1" JWT_SECRET_FILE="$work/jwt-secret" PUBLIC_WEB_URL=https://app.example.org
        MAIL_FROM="PetSpark <no-reply@example.org>"
        PETSPARK__RATE_LIMIT__GENERAL="$no_limit" PETSPARK__RATE_LIMIT__AUTH="$no_limit"
        PETSPARK__RATE_LIMIT__REFRESH="$no_limit" PETSPARK__RATE_LIMIT__MEDIA="$no_limit" PETSPARK__AUTH__REFRESH_PER_MINUTE=0
        PETSPARK__PETS__MAX_PETS="$many"
        PETSPARK__AUTH__THROTTLE__PAIR_FAILURES="$many" PETSPARK__AUTH__THROTTLE__IP_FAILURES="$many"
        PETSPARK__AUTH__THROTTLE__ACCOUNT_FAILURES="$many" PETSPARK__AUTH__THROTTLE__SPRAY_ACCOUNTS="$many"
        PETSPARK__AUTH__THROTTLE__REQUESTS_PER_IP="$many" PETSPARK__AUTH__THROTTLE__REQUESTS_PER_EMAIL="$many")
    petspark migrate run >/dev/null
    petspark seed --users "$people" --pets 1000 --password-stdin --confirm production <<<"$password" >/dev/null 2>&1
    emails >"$work/emails"
    bodies ",\"password\":\"$password\"" <"$work/emails" >"$work/logins"
}

petspark() {
    "${with_settings[@]}" LOG_LEVEL=error "$release/petspark-cli" "$@"
}

emails() {
    local cursor= page
    while page=$(petspark user list --json --limit 100 ${cursor:+--cursor "$cursor"}); do
        grep -o '"email": *"[^"]*"' <<<"$page" | cut -d'"' -f4
        cursor=$(sed -n 's/.*"next_cursor": *"\([^"]*\)".*/\1/p' <<<"$page")
        [[ -n $cursor ]] || break
    done
}

# JSON about each address of standard input, with what else is given: `,"NAME":"VALUE"`.
bodies() {
    sed "s/.*/{\"email\":\"&\"$1}/"
}

# Starts PetSpark by these settings (NAME=VALUE) over those of `prepare`.
serve_petspark() {
    serve petspark "${with_settings[@]}" "$@" "$release/petspark-cli" serve
}

# Starts a server and remembers its URL by this name.
serve() {
    local name=$1 attempt line=
    shift
    # Before it starts: what a server before it said must not be taken for its own words.
    : >"$work/$name.out"
    "$@" >"$work/$name.out" 2>"$work/$name.log" &
    pids+=($!)
    for attempt in {1..200}; do
        line=$(head -n 1 "$work/$name.out")
        [[ $line == *http://* ]] && break
        sleep 0.05
    done
    [[ $line == *http://* ]] || fail "$name does not start ($attempt tries): $(tail -n 5 "$work/$name.log")"
    urls[$name]=http://${line##*http://}
}

# MiB of memory that the server started last has (VmRSS), or has had at most (VmHWM).
memory() {
    echo $(($(sed -n "s/^$1:[^0-9]*\([0-9]*\).*/\1/p" "/proc/${pids[-1]}/status") / 1024))
}

sign_in() {
    head -n 1 "$work/logins" >"$work/login"
    fetch "${urls[petspark]}/api/v1/auth/login" --json @"$work/login" |
        sed -n 's/.*"accessToken":"\([^"]*\)".*/\1/p' >"$work/token"
    [[ -s $work/token ]] || fail "no access token"
    bearer="Authorization: Bearer $(<"$work/token")"
    pet=$(fetch "${urls[petspark]}/api/v1/pets?limit=1" -H "$bearer" | sed -n 's/^{"data":\[{"id":"\([^"]*\)".*/\1/p')
    [[ -n $pet ]] || fail "no pet"
}

# One core hashes only so many passwords: what bare Argon2id does on it is the aim.
logins() {
    local round
    rm -f "$work/rate" "$work/hashes"
    for ((round = 0; round < rounds; round++)); do
        "${server_core[@]}" "$release/argon2_rate" "$round_seconds" >>"$work/hashes"
        load --method POST --bodies-file "$work/logins" "${urls[petspark]}/api/v1/auth/login" |
            field per_second >>"$work/rate"
    done
    head_line "Logins on $1" "$(median <"$work/rate") /s, bare Argon2id $(median <"$work/hashes") /s," \
        "ratio $(paste "$work/rate" "$work/hashes" | awk '{ print $1 / $2 }' | median)"
}

# At a rate that leaves the server idle most of the time, so that what is added is the logins'.
reads_beside_logins() {
    local reads=(load --rate 500 --token-file "$work/token" "${urls[petspark]}/api/v1/pets/$pet") round
    rm -f "$work/alone" "$work/beside"
    for ((round = 0; round < rounds; round++)); do
        "${reads[@]}" | field p99_us >>"$work/alone"
        "${load_core[@]}" "$release/load" --seconds $((round_seconds + 2)) --method POST \
            --bodies-file "$work/logins" "${urls[petspark]}/api/v1/auth/login" >/dev/null &
        sleep 1
        "${reads[@]}" | field p99_us >>"$work/beside"
        wait $!
    done
    head_line "p99 of reads, 500 /s, on $1" "$(median <"$work/alone") us alone, $(median <"$work/beside") us" \
        "while logins saturate the core, ratio $(paste "$work/beside" "$work/alone" | awk '{ print $1 / $2 }' | median)"
}

fetch() {
    curl --silent --show-error --fail --max-time 10 "$@"
}

# Reports as JSON; errors and refusals are no measurement.
load() {
    local report
    report=$("${load_core[@]}" "$release/load" --json --connections "$connections" --seconds "$round_seconds" "$@")
    [[ $(field errors <<<"$report") == 0 && $(field refused <<<"$report") == 0 ]] || fail "not all went well: $report"
    printf '%s\n' "$report"
}

field() {
    sed -n "s/.*\"$1\":\(-\{0,1\}[0-9.]*\).*/\1/p"
}

median() {
    sort -n | awk '{ value[NR] = $1 } END { printf "%.2f", value[int((NR + 1) / 2)] }'
}

head_line() {
    printf '%-46s %s\n' "$1:" "${*:2}"
}

stop_servers() {
    if ((${#pids[@]})); then
        kill "${pids[@]}" 2>/dev/null || true
        wait "${pids[@]}" 2>/dev/null || true
    fi
    pids=()
}

clean_up() {
    stop_servers
    scripts/postgres stop --for $$ || true
    rm -rf "$work"
}

warn() {
    echo "$0: $*" >&2
}

fail() {
    warn "$@"
    exit 1
}
