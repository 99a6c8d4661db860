#!/bin/sh
# Shows the whole path once, on loopback and in a directory of its own: a CA, a pairing, a ping, a run, a refusal.
# Usage: test/demo.sh DIRECTORY-OF-THE-PROGRAMS (`./dev demo` builds them first).
set -eu

PATH=$(cd "$1" && pwd):$PATH
export PATH
umask 022
dir=$(mktemp -d "${TMPDIR:-/tmp}/ctrl-exec-demo.XXXXXX")
cd "$dir"
daemons=
cleanup() {
    status=$?
    trap '' INT TERM HUP
    for pid in $daemons; do kill "$pid" 2>/dev/null || :; done
    for pid in $daemons; do
        tries=0
        while kill -0 "$pid" 2>/dev/null && [ $tries -lt 60 ]; do sleep 0.05; tries=$((tries + 1)); done
        kill -KILL "$pid" 2>/dev/null || :
    done
    [ $status -eq 0 ] || for log in *.log; do
        [ ! -s "$log" ] || { printf '\n--- %s\n' "$log"; cat "$log"; } >&2
    done
    cd /
    rm -rf "$dir"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

bold= dim= plain=
if [ -t 1 ]; then bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m'); fi

heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# prompt SUFFIX COMMAND...: prints it as one would type it.
prompt() {
    line='$' suffix=$1; shift
    for word in "$@"; do
        case $word in *[!A-Za-z0-9_./:=-]*) word="\"$word\"" ;; esac
        line="$line $word"
    done
    printf '%s%s%s%s\n' "$dim" "$line" "$suffix" "$plain"
}

# show COMMAND...: prints and runs it; its output stays in output.txt for a check afterwards.
show() {
    prompt '' "$@"
    status=0
    "$@" >output.txt 2>&1 </dev/null || status=$?
    cat output.txt
    return $status
}

# background LOG COMMAND...: starts it as a daemon of this demo; sets $pid.
background() {
    log=$1; shift
    prompt ' &' "$@"
    CTRL_EXEC_LOG=stderr "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    daemons="$daemons $pid"
}

# wait_until WHAT COMMAND...: polls COMMAND until it succeeds, for 10 seconds at most.
wait_until() {
    what=$1; shift
    deadline=$(($(date +%s) + 10))
    until "$@"; do
        [ "$(date +%s)" -le $deadline ] || fail "waited 10 s: $what"
        sleep 0.02
    done
}
port_in() { port=$(sed -n 's/^.*listening on .*:\([0-9][0-9]*\)$/\1/p' "$1" | head -n 1); [ -n "$port" ]; }
listening() {  # LOG PID: what `background` started prints this line once it accepts connections
    port_in "$1" || { kill -0 "$2" 2>/dev/null || fail "$1: ended before it was listening"; return 1; }
}
first_request() {  # two header lines, then one line a request, its ID first
    id=$(ctrl-exec-dispatcher --config dispatcher.conf list-requests 2>/dev/null | sed -n 3p | cut -d' ' -f1)
    [ -n "$id" ]
}
ended() { ! kill -0 "$1" 2>/dev/null; }

export CTRL_EXEC_LOG=none  # commands print what matters; the daemons' events are in their logs

mkdir -p dispatcher agent scripts
cat >dispatcher.conf <<EOF
cert = $dir/dispatcher/ctrl-exec.crt
key = $dir/dispatcher/ctrl-exec.key
ca = $dir/dispatcher/ca.crt
ca_dir = $dir/dispatcher
state_dir = $dir/dispatcher/state
pairing_bind = 127.0.0.1
pairing_port = 0
EOF
cat >agent.conf <<EOF
hostname = demo-agent
cert = $dir/agent/agent.crt
key = $dir/agent/agent.key
ca = $dir/agent/ca.crt
config_dir = $dir/agent
state_dir = $dir/agent/state
script_dirs = $dir/scripts
bind = 127.0.0.1
port = 0
EOF
cat >scripts/hello.sh <<'EOF'
#!/bin/sh
echo "hello from process $$"
for argument in "$@"; do echo "argument: $argument"; done
EOF
chmod 755 scripts/hello.sh
echo "hello = $dir/scripts/hello.sh" >agent/scripts.conf

heading 'A certificate authority, and a certificate for the dispatcher'
show ctrl-exec-dispatcher --config dispatcher.conf setup-ca
show ctrl-exec-dispatcher --config dispatcher.conf setup-ctrl-exec

heading 'An agent asks to be paired'
background pairing.log ctrl-exec-dispatcher --config dispatcher.conf pairing-mode
wait_until 'pairing-mode is listening' listening pairing.log "$pid"
background request.log ctrl-exec-agent --config agent.conf request-pairing --dispatcher 127.0.0.1 --port "$port"
request=$pid
wait_until 'the request is in the queue' first_request
wait_until 'the agent shows its check code' grep -q '^Check code: ' request.log
cat request.log
code=$(sed -n 's/^Check code: //p' request.log)

heading 'The operator types the check code that the agent shows'
show ctrl-exec-dispatcher --config dispatcher.conf list-requests
show ctrl-exec-dispatcher --config dispatcher.conf approve "$id" --sas "$code"
wait_until 'the agent has its certificate' ended "$request"
wait "$request" || fail 'request-pairing failed'
show ctrl-exec-agent --config agent.conf pairing-status

heading 'The agent serves'
cat agent/scripts.conf
background agent.log ctrl-exec-agent --config agent.conf serve
wait_until 'the agent is listening' listening agent.log "$pid"
show ctrl-exec-dispatcher --config dispatcher.conf list-agents
show ctrl-exec-dispatcher --config dispatcher.conf ping "demo-agent:$port"

heading 'A script on the list runs, its arguments untouched'
show ctrl-exec-dispatcher --config dispatcher.conf run "demo-agent:$port" hello -- world 'two words'
grep -q 'two words' output.txt || fail 'the script did not get its argument'

heading 'One that is not on the list does not'
if show ctrl-exec-dispatcher --config dispatcher.conf run "demo-agent:$port" reboot; then
    fail 'a script that is not on the list was accepted'
fi
