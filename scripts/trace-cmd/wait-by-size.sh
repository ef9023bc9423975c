#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# How long requests took from asking for the range lock to getting it, in powers of two
# of a microsecond, by the size of the interval and by mode:
#
#	wait-by-size.sh trace.dat

set -eu
[ $# -eq 1 ] || { echo "usage: $0 FILE" >&2; exit 64; }
# -t: all digits of the time stamps.
trace-cmd report -t -i "$1" | awk '
	function of(key) {
		if (!match($0, " " key "=[^ ]*"))
			return ""
		return substr($0, RSTART + length(key) + 2, RLENGTH - length(key) - 2)
	}
	/ faultline_range_(start_locking|acquire_returned): / {
		task = $1
		match($0, /[0-9]+\.[0-9]+: /)
		time = substr($0, RSTART, RLENGTH - 2)
		pages = of("pages")
		write = of("write")
		request = task " " pages " " write
	}
	/ faultline_range_start_locking: / { asked[request] = time }
	/ faultline_range_acquire_returned: / && request in asked {
		us = (time - asked[request]) * 1000000
		delete asked[request]
		split(substr(pages, 2), bounds, /[,)]/)
		count = bounds[2] - bounds[1]
		size = count <= 1 ? "1 page" : (count <= 512 ? "2 to 512 pages" : "more pages")
		power = 0
		while (us >= 2 ^ power)
			power++
		mode = write == "true" ? "write" : "read"
		times[sprintf("%-14s %-5s below %10d us", size, mode, 2 ^ power)]++
	}
	END { for (row in times) printf "%s %8d\n", row, times[row] }' | sort
