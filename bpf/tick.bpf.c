//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * For tests only, never loaded by a node: one tick of a lane's timer at a time
 * that the caller says, as often as it likes.
 */
#include "watch.h"

struct ob_tick_args {
	__u32 lane;
	__u32 pad;
	__u64 now_ns;
};

SEC("syscall")
int ob_tick(struct ob_tick_args *args)
{
	__u32 lane = args->lane;
	struct ob_lane *l = bpf_map_lookup_elem(&lanes, &lane);
	struct ob_authority *a = bpf_map_lookup_elem(&authority, &lane);

	if (!l || !a || !l->cfg.used || !l->cfg.tick_ns)
		return -1;
	watch_lane(l, a, args->now_ns);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
