#!/usr/bin/env bash
# run.sh KERNEL IMG...: boots each image under QEMU, counts "ok" and "not ok" lines of the serial log.
# A machine that ends any other way than by the test's own halt is a failure more.
# MACHINE, CPU, SMP choose the machine; VERBOSE=1 shows the logs.
set -u
kernel=$1
shift
passed=0 failed=0
for image in "$@"; do
    name=$(basename "$image" .img)
    smp=${SMP:-1}
    [[ $name == smp* && $smp -lt 4 ]] && smp=4
    count=
    [[ $name == cost* || $name == slices* ]] && smp=1 count="-icount shift=0,sleep=off" # instructions are what its clock counts
    more=()
    if [[ $name == netdev* ]]; then
        device=virtio-net-pci
        [[ ${MACHINE:-microvm} == microvm ]] && device=virtio-net-device more+=(-global virtio-mmio.force-legacy=false)
        more+=(-netdev user,id=n0,restrict=on -device "$device,netdev=n0,mac=52:54:00:12:34:56")
    fi
    log=$(mktemp)
    timeout "${LIMIT:-240}" qemu-system-x86_64 -M "${MACHINE:-microvm}" -accel tcg -cpu "${CPU:-max}" \
        -m "${MEMORY:-256}" -smp "$smp" -kernel "$kernel" -initrd "$image" -display none -serial stdio \
        -monitor none -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 $count "${more[@]}" ${QEMU_MORE:-} \
        </dev/null >"$log" 2>&1
    status=$?
    p=$(grep -ac '^ok ' "$log")
    f=$(grep -ac '^not ok ' "$log")
    if [ "$status" -ne 1 ] || ! grep -aq '^done' "$log"; then
        f=$((f + 1))
        echo "$name: the machine ended with status $status"
    fi
    if [ "$f" -ne 0 ]; then grep -av '^ok ' "$log" | tail -40; fi
    if [ -n "${VERBOSE:-}" ]; then cat "$log"; fi
    echo "$name: $p passed, $f failed"
    passed=$((passed + p)) failed=$((failed + f))
    rm -f "$log"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
