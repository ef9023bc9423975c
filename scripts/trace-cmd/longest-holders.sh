#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The ten longest holds of ranges, in microseconds: who, which pages, how. One that is
# given back in parts is a hold for each part.
#
#	longest-holders.sh trace.dat

set -eu
[ $# -eq 1 ] || { echo "usage: $0 FILE" >&2; exit 64; }
trace-cmd report -t -i "$1" | awk '
	/ faultline_range_(acquire_returned|released): / {
		task = $1
		match($0, /[0-9]+\.[0-9]+: /)
		time = substr($0, RSTART, RLENGTH - 2)
		match($0, / pages=[^ ]*/)
		pages = substr($0, RSTART + 7, RLENGTH - 7)
		match($0, / write=[^ ]*/)
		write = substr($0, RSTART + 7, RLENGTH - 7)
	}
	/ faultline_range_acquire_returned: .*success=true/ { got[task] = time }
	/ faultline_range_released: / && task in got {
		printf "%12.1f us  %s %s write=%s\n", (time - got[task]) * 1000000, task, pages, write
	}' | sort -rn | sed 10q
