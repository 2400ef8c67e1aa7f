#!/bin/sh
# mkroot.sh DIR [PACKAGE...]: makes the built-in root in DIR from unmodified Debian packages; with more of them
# if they are named.
#
# apt resolves and fetches the closure of the list below as for a machine that has no package yet; then
# the packages' files are laid out. No maintainer script runs: what they would make is made here. DIR also
# serves as a chroot on the host, to compare with.
set -eu
root=$1
packages="busybox-static dash bash coreutils grep sed gawk tar gzip findutils diffutils procps
    libc6 libc-bin base-files base-passwd ncurses-base ncurses-bin debianutils util-linux hostname
    usr-is-merged"
shift
packages="$packages $*"
# Translations and manual pages are as large as everything else together.
excluded="usr/share/locale usr/share/man usr/share/info usr/share/doc-base"

here=$(cd "$(dirname "$0")" && pwd)
debs=$root.debs
new=$root.new
rm -rf "$new" "$debs"
mkdir -p "$debs/partial" "$new"
new=$(cd "$new" && pwd)

# shellcheck disable=SC2086 # a list
fetch() {
    apt-get -qq -o Debug::NoLocking=1 -o Dir::State::status=/dev/null -o Dir::Cache::archives="$(cd "$debs" && pwd)" \
        -o APT::Sandbox::User= --no-install-recommends --download-only -y install $packages >"$debs/log" 2>&1
}
# A new machine may have no package lists yet, or old ones.
if ! fetch; then
    sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -qq >>"$debs/log" 2>&1 || true
    fetch || {
        tail -n 3 "$debs/log" >&2
        exit 1
    }
fi

# Debian 12 has merged /usr: the links come first, the packages' /bin and so on go through them.
for d in bin sbin lib lib32 lib64 libx32; do
    mkdir -p "$new/usr/$d"
    ln -s "usr/$d" "$new/$d"
done
for deb in "$debs"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -xp --keep-directory-symlink --warning=no-timestamp -C "$new"
done
for path in $excluded; do
    rm -rf "${new:?}/$path"
done
rmdir "$new/usr/lib32" "$new/usr/libx32" && rm "$new/lib32" "$new/libx32"

# base-passwd, base-files
cp "$new/usr/share/base-passwd/passwd.master" "$new/etc/passwd"
cp "$new/usr/share/base-passwd/group.master" "$new/etc/group"
cp "$new/usr/share/base-files/profile" "$new/etc/profile"
[ -e "$new/usr/share/base-files/nsswitch.conf" ] && cp "$new/usr/share/base-files/nsswitch.conf" "$new/etc/"
mkdir -p "$new/root"
cp "$new/usr/share/base-files/dot.bashrc" "$new/root/.bashrc"
cp "$new/usr/share/base-files/dot.profile" "$new/root/.profile"
chmod 700 "$new/root"
# dash and gawk (alternatives)
[ -e "$new/usr/bin/sh" ] || ln -s dash "$new/usr/bin/sh"
[ -e "$new/usr/bin/awk" ] || ln -s gawk "$new/usr/bin/awk"
[ -e "$new/usr/bin/which" ] || ln -s which.debianutils "$new/usr/bin/which"
[ -e "$new/usr/bin/pager" ] || ln -s more "$new/usr/bin/pager"
# what an installer writes
echo xok >"$new/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\txok\n::1\tlocalhost ip6-localhost ip6-loopback\n' >"$new/etc/hosts"
: >"$new/etc/resolv.conf"
ln -sf /proc/self/mounts "$new/etc/mtab"
mkdir -p "$new/proc" "$new/sys" "$new/dev" "$new/run" "$new/tmp" "$new/var/tmp" "$new/home"
chmod 1777 "$new/tmp" "$new/var/tmp"
# Needs chroot(2). Without the cache the loader searches its directories, as well as it can.
if [ "$(id -u)" -eq 0 ]; then
    ldconfig -r "$new"
    rm -f "$new/var/cache/ldconfig/aux-cache"
fi
# Two builds of the same packages are the same: what was made here gets one date.
find "$new" -newer "$here/mkroot.sh" -exec touch -h -d '2024-01-01 00:00:00 UTC' {} +

rm -rf "$root"
mv "$new" "$root"
