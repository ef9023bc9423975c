#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The VM's first process: sets the guest up, loads the module, does the one
# job that /job describes, and powers off. Progress goes to the control port
# as one word and its arguments per line; the console only has kernel messages.

export PATH=/bin:/sbin:/root HOME=/root TERM=linux

mount -t proc proc /proc
mount -t sysfs sys /sys

mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
ln -s /proc/self/fd /dev/fd
for number in 0:stdin 1:stdout 2:stderr; do
	ln -s /proc/self/fd/${number%:*} /dev/${number#*:}
done
mount -t devpts devpts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing
mount -t cgroup2 cgroup /sys/fs/cgroup

for port in /sys/class/virtio-ports/*; do
	read -r name <"$port/name"
	case $name in
	org.faultline.ctl) ctl=/dev/${port##*/} ;;
	org.faultline.out) out=/dev/${port##*/} ;;
	org.faultline.files) files=/dev/${port##*/} ;;
	esac
done
exec 3>"$ctl"
tell() { echo "$*" >&3; }
finish() {
	tell done
	poweroff -f
}

# An emulated machine boots on one processor: see xtask/src/vm/qemu.rs.
for cpu in /sys/devices/system/cpu/cpu*/online; do
	# None if there is one processor only.
	[ -e "$cpu" ] || continue
	read -r online <"$cpu"
	[ "$online" = 1 ] && continue
	if ! echo 1 >"$cpu"; then
		tell load-failed "$cpu: the processor does not start"
		finish
	fi
done

# TASK (probe, run, shell), MODULE, PARAMS, KMEMLEAK, BRING, ROWS, COLS
. /job/env
tell booted
[ "$TASK" = probe ] && finish

hostname faultline
ip link set lo up 2>/dev/null

if [ -n "$MODULE" ]; then
	# Unquoted: PARAMS is a list of words.
	if reason=$(insmod "$MODULE" $PARAMS 2>&1); then
		tell loaded
	else
		tell load-failed "$reason"
		finish
	fi
else
	tell loaded
fi

cd /root || finish
case $TASK in
shell)
	stty -F /dev/hvc0 rows "$ROWS" cols "$COLS"
	setsid -c sh -c '. /job/cmd' <>/dev/hvc0 >&0 2>&1 3>&-
	status=$?
	;;
*)
	# Through a pipe, so that the command can open /dev/stdout again: the
	# port itself can be opened only once.
	mkfifo /run/out
	cat /run/out >"$out" 3>&- &
	pump=$!
	sh /job/cmd </dev/null >/run/out 2>&1 3>&-
	status=$?
	# The pump ends with the last writer: wait a little for the output, not
	# for processes left behind.
	for attempt in 1 2 3 4 5 6 7 8 9 10; do
		kill -0 $pump 2>/dev/null || break
		usleep 50000
	done
	;;
esac
tell exit $status

# Whatever still runs may hold the device.
kill -9 -1 2>/dev/null

if [ "$BRING" = 1 ]; then
	if reason=$(tar -c -f - -C /out . 2>&1 >"$files"); then
		tell brought
	else
		# On one line.
		tell bring-failed $reason
	fi
fi

if ! grep -q '^faultline ' /proc/modules; then
	tell unload-absent
elif reason=$(rmmod faultline 2>&1); then
	tell unloaded
else
	tell unload-failed "$reason"
fi

leaks=/sys/kernel/debug/kmemleak
if [ "$KMEMLEAK" = 1 ] && [ -e $leaks ]; then
	# Objects younger than five seconds are not reported, and a suspect must
	# look the same in two scans.
	sleep 5
	echo scan >$leaks
	echo scan >$leaks
	while IFS= read -r line; do tell leak "$line"; done <$leaks
	tell scanned
fi
finish
