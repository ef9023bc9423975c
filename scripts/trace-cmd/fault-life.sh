#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# All that one thread did, event by event, with the time since the one before: its
# faults from the abort to the end.
#
#	fault-life.sh trace.dat PID

set -eu
[ $# -eq 2 ] || { echo "usage: $0 FILE PID" >&2; exit 64; }
exec trace-cmd report -t --ts-diff -F "faultline:common_pid == $2" -i "$1"
