#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Why speculations were given up, and how often, by cause:
#
#	abort-causes.sh trace.dat

set -eu
[ $# -eq 1 ] || { echo "usage: $0 FILE" >&2; exit 64; }
trace-cmd report -i "$1" | awk '
	/ faultline_fault_speculated: / { tried++ }
	/ faultline_fault_aborted: / {
		tried++
		match($0, / cause=[^ ]*/)
		count[substr($0, RSTART + 7, RLENGTH - 7)]++
	}
	END {
		for (cause in count)
			printf "%-16s %8d  %6.2f %%\n", cause, count[cause], 100 * count[cause] / tried
		printf "%-16s %8d\n", "attempts", tried
	}'
