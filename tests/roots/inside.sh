#!/bin/bash
# The first process in a bare root: what a newcomer types, and whether it does what README.md says. Nothing
# may be needed here that such a root does not have. For tests/roots/run.sh.
#   inside.sh root|user CHECKOUT [TEST-OPTION...]
set -uo pipefail

kind=$1 checkout=$2
shift 2
failed=0

# result COMMAND STATUS SINCE [WORDS]
result()
{
    if [ "$2" -eq 0 ]; then
        echo "result: $1 passed ($((SECONDS - $3)) s)"
    else
        echo "result: $1 FAILED (${4:-exit code $2}, $((SECONDS - $3)) s)"
        failed=1
    fi
}

# As the one who types. Starts with every signal as a terminal would give it.
newcomer()
{
    local -a who=() home=/root name=root
    if [ "$kind" = user ]; then
        home=/home/tester name=tester
        who=(setpriv --reuid tester --regid tester --init-groups)
    fi
    cd "$checkout" && exec "${who[@]}" env --default-signal HOME=$home USER=$name LOGNAME=$name "$@"
}

if [ "$kind" = user ]; then
    echo "== sudo for the user"
    { apt-get -q update && apt-get -q -y install --no-install-recommends sudo && useradd --create-home tester &&
        echo 'tester ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/tester && chown -R tester:tester /home/tester; } || exit 1
    # Those of an ordinary user: programs of root are not on it.
    export PATH=/usr/local/bin:/usr/bin:/bin
fi

# Lines that the live view writes for jobs, beyond those that were there from the start.
moved() { [ "$(grep -c '^[0-9:]* job_.*%' "$1")" -ge 20 ]; }

echo "== ./run.sh"
since=$SECONDS
said=/tmp/run.log
(newcomer ./run.sh) >$said 2>&1 </dev/null &
pid=$!
until moved $said || ! kill -0 $pid 2>/dev/null || [ $((SECONDS - since)) -ge 1800 ]; do
    sleep 1
done
problem=
moved $said || problem='no jobs moved'
kill -INT $pid 2>/dev/null
for ((wait = 0; wait < 60; wait++)); do
    kill -0 $pid 2>/dev/null || break
    sleep 1
done
if kill -0 $pid 2>/dev/null; then
    problem="${problem:-it does not stop}"
    kill -KILL $pid
fi
wait $pid
status=$?
cat $said
# Without a subshell: then this process, the first, is the only one there may be.
left=
for process in /proc/[0-9]*; do
    [ "$process" != /proc/1 ] || continue
    words=('')
    { mapfile -d '' words <"$process/cmdline"; } 2>/dev/null
    left="$left${words[*]} "
done
[ -z "$left" ] || problem="${problem:-left behind: $left}"
compgen -G '/tmp/aiva-demo.*' >/dev/null && problem="${problem:-its folder is left behind}"
[ $status -eq 0 ] || problem="${problem:-exit code $status}"
status=0
[ -z "$problem" ] || status=1
result ./run.sh $status $since "$problem"

echo "== ./test.sh $*"
since=$SECONDS
(newcomer ./test.sh "$@") 2>&1 </dev/null
result "./test.sh${*:+ $*}" $? $since
exit $failed
