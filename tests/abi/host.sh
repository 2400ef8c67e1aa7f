#!/bin/sh
# host.sh ROOT PROGRAM ARG...: runs a program on the host's Linux in a chroot of ROOT: a process-id space of
# its own, /proc, /dev and an empty /tmp, the rest read-only. The environment is what `xok run` gives.
set -eu
root=$1
shift
own=""
[ "$(id -u)" -eq 0 ] || own="--map-root-user"
# The program is a child of the namespace's first process, which signals treat like no other.
# shellcheck disable=SC2086,SC2016
exec unshare $own --mount --ipc --pid --fork --kill-child sh -c '
    root=$1
    shift
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/tmp" -o mode=1777
    mount -t tmpfs tmpfs "$root/dev" -o mode=755
    for d in null zero full random urandom tty; do
        : >"$root/dev/$d"
        mount --bind "/dev/$d" "$root/dev/$d"
    done
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=666
    mount -t tmpfs tmpfs "$root/dev/shm" -o mode=1777
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s fd/0 "$root/dev/stdin"
    ln -s fd/1 "$root/dev/stdout"
    ln -s fd/2 "$root/dev/stderr"
    umask 022
    # The shell would say "Segmentation fault" where the program itself says nothing.
    exec 3>&2 2>/dev/null
    (exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        ${TERM:+TERM="$TERM"} chroot "$root" "$@" 3>&-) 2>&3
    exit $?' host.sh "$root" "$@"
