#!/usr/bin/env bash
# run.sh [KERNEL IMG[@MACHINE[,nvme]]...]: boots each image under QEMU, counts "ok" and "not ok" lines of the serial log.
# Without arguments: every test, the hostile ones on the checked kernel, and on q35 too what drives a device.
# A machine that ends any other way than by the test's own halt is a failure more.
# MACHINE, CPU, SMP choose the machine; VERBOSE=1 shows the logs.
set -u
if [ $# -eq 0 ]; then
    set -- ''
    for source in tests/guest/kernel/*.c; do
        name=$(basename "$source" .c)
        [[ $name == hello || $name == ubsan ]] || set -- "$@" "build/ktest/$name.img"
        [[ $name == netdev || $name == disk ]] && set -- "$@" "build/ktest/$name.img@q35"
        [[ $name == disk ]] && set -- "$@" "build/ktest/$name.img@q35,nvme"
    done
fi
given=$1
shift
passed=0 failed=0
for image in "$@"; do
    machine=${MACHINE:-microvm}
    [[ $image == *@* ]] && machine=${image#*@} image=${image%@*}
    bus=${machine#*,} machine=${machine%,*}
    name=$(basename "$image" .img)
    kernel=${given:-build/kernel/xok.elf} smp=${SMP:-1}
    [[ -z $given && ( $name == fuzz* || $name == attack ) ]] && kernel=build/kernel/checked.elf
    [[ $name == smp* && $smp -lt 4 ]] && smp=4
    [[ $name == fuzz* ]] && smp=2
    count=
    [[ -n ${COUNT:-} || $name == cost* || $name == slices* ]] && smp=1 count="-icount shift=0,sleep=off" # instructions are what its clock counts
    more=()
    if [[ $name == netdev* ]]; then
        device=virtio-net-pci
        [[ $machine == microvm ]] && device=virtio-net-device more+=(-global virtio-mmio.force-legacy=false)
        more+=(-netdev user,id=n0,restrict=on -device "$device,netdev=n0,mac=52:54:00:12:34:56")
    fi
    disks=
    if [[ $name == *disk ]]; then # disk 1 fails: reads of sector 1600, writes of sector 1608
        disks=$(mktemp -d)
        truncate -s 64M "$disks/0" && truncate -s 4M "$disks/1"
        device=virtio-blk-pci told=",werror=report,rerror=report"
        [[ $bus == nvme ]] && device=nvme,serial=xok told=
        [[ $machine == microvm ]] && device=virtio-blk-device more+=(-global virtio-mmio.force-legacy=false)
        bad="driver=blkdebug,node-name=d1,image.driver=file,image.filename=$disks/1"
        bad+=",inject-error.0.event=none,inject-error.0.iotype=read,inject-error.0.errno=5,inject-error.0.sector=1600"
        bad+=",inject-error.1.event=none,inject-error.1.iotype=write,inject-error.1.errno=5,inject-error.1.sector=1608"
        first=(-blockdev "driver=file,node-name=d0,discard=unmap,filename=$disks/0" -device "$device,drive=d0")
        second=(-blockdev "$bad" -device "$device,drive=d1$told")
        # QEMU fills microvm's slots from the highest, the kernel looks from the lowest
        [[ $device == virtio-blk-device ]] && more+=("${second[@]}" "${first[@]}") || more+=("${first[@]}" "${second[@]}")
    fi
    log=$(mktemp)
    timeout "${LIMIT:-240}" qemu-system-x86_64 -M "$machine" -accel tcg -cpu "${CPU:-max}" \
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
    rm -rf "$log" $disks
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
