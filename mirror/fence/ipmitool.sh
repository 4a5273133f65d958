#!/bin/sh
# Runs ipmitool for a fence agent that would put the password on its command
# line: takes "-P …" out, and gives the password of the secrets file by a pipe.
n=$#
while [ "$n" -gt 0 ]; do
	n=$((n - 1))
	if [ "$1" = -P ] && [ "$n" -gt 0 ]; then
		shift 2
		n=$((n - 1))
	else
		set -- "$@" "$1"
		shift
	fi
done
sed -n -e 's/\r$//' -e 's/^ *passwd *=//p' -e 's/^ *password *=//p' "$ONEBEAT_FENCE_SECRETS" | head -n 1 |
	exec "${ONEBEAT_FENCE_IPMITOOL:-/usr/bin/ipmitool}" -f /dev/stdin "$@"
