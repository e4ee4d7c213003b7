# Keeps one throw-away server and its folder. Ends both when its standard input closes, which the
# kernel does for us however the test process ends.
#   $1    the folder; the server's start file is $1/start, its log $1/log
#   $2    the signal that ends the server at once
# Orders on standard input:  start -> prints the pid   end SIGNAL -> prints "ended" when it is gone
trap '' INT QUIT TERM HUP PIPE
folder=$1
last_signal=$2
pid=

# A zombie has ended; it only waits for `wait`.
runs() {
    [ -n "$pid" ] && [ -r "/proc/$pid/stat" ] || return 1
    state=
    read -r _ _ state _ 2>/dev/null <"/proc/$pid/stat"
    [ -n "$state" ] && [ "$state" != Z ]
}

# The signal is repeated: a server that has not installed its handlers yet ignores the first one.
# It goes to the whole process group, as the start file may still be preparing. After two seconds
# the group is killed.
end() {
    looks=0
    while runs; do
        if [ "$looks" -lt 100 ]; then
            kill -s CONT -- "-$pid"
            kill -s "$1" -- "-$pid"
        else
            kill -s KILL -- "-$pid"
        fi
        looks=$((looks + 1))
        sleep 0.02
    done 2>/dev/null
    [ -z "$pid" ] || wait "$pid"
    pid=
}

while read -r order signal; do
    case $order in
    start)
        setsid sh "$folder/start" </dev/null >>"$folder/log" 2>&1 &
        pid=$!
        echo "$pid"
        ;;
    end)
        end "$signal"
        echo ended
        ;;
    esac
done
end "$last_signal"
cd /
rm -rf "$folder"
