#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Records the module's events while a command runs, for the other scripts here, for
# KernelShark and for `faultline trace report`. Where the module is loaded:
#
#	record.sh FILE CMD...

set -eu
[ $# -ge 2 ] || { echo "usage: $0 FILE CMD..." >&2; exit 64; }
file=$1
shift
exec trace-cmd record -q -B faultline -C mono -b 8192 -e faultline -o "$file" -- "$@"
