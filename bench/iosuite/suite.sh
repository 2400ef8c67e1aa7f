# The thesis' I/O-intensive suite over a source tree, in a guest: the steps of its eleven that need no compiler.
# Stops after the step that STOP names. The working directory is a tmpfs. Each line: STEP name microseconds status. Under icount a microsecond is a thousand
# instructions.
tree=redis-7.0.15
mkdir w && cd w || exit 1
cp /b/tree.tar.gz ../tree.tar.gz
# Programs and libraries are read before anything is timed.
cat /bin/cp /bin/tar /bin/gzip /bin/rm /bin/diff /bin/mkdir /lib/x86_64-linux-gnu/*.so* >/dev/null
tar --version >/dev/null; cp --version >/dev/null; diff --version >/dev/null; gzip --version >/dev/null
step() {
    local name=$1 start end
    shift
    start=$EPOCHREALTIME
    "$@" >/dev/null 2>../errors
    local status=$?
    end=$EPOCHREALTIME
    echo "STEP $name $((${end/./} - ${start/./})) $status"
    [ "$STOP" = "$name" ] && exit 0
}
step cp_archive cp ../tree.tar.gz a.tar.gz
step gunzip gunzip a.tar.gz
step cp_tar cp a.tar b.tar
# The machine's clock starts before the files' dates.
step untar tar --warning=no-timestamp -xf a.tar
step cp_r cp -r $tree copy
step diff_r diff -r $tree copy
step tar_pack tar cf c.tar $tree
step gzip gzip -3 c.tar
step sync sync
step rm_files rm -f a.tar b.tar c.tar.gz
step rm_rf rm -rf $tree copy
cat ../errors
exit 0
