//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The death of an engine, told by the kernel that ends it. The socket map's
 * slot empties only after the process's memory is torn down, milliseconds
 * later; the thread itself runs no more instruction of its own from here on
 * (do_exit in kernel/exit.c calls the tracepoint before exit_mm since 6.16).
 */
#include "lane.h"

/* The task of a lane's engine thread; its address is only compared. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OB_LANES);
	__type(key, __u32);
	__type(value, __u64);
} engines SEC(".maps");

SEC("raw_tp/sched_process_exit")
int ob_exit(void *ctx)
{
	__u64 task = bpf_get_current_task();

#pragma unroll
	for (int i = 0; i < OB_LANES; i++) {
		__u32 lane = i;
		__u64 *engine = bpf_map_lookup_elem(&engines, &lane);
		struct ob_lane *l;

		if (!engine || *engine != task)
			continue;
		*engine = 0;
		l = bpf_map_lookup_elem(&lanes, &lane);
		if (l)
			STORE(l->watch.dead_ns, bpf_ktime_get_ns());
	}
	return 0;
}

struct ob_engine_args {
	__u32 lane;
	__u32 leave; /* 1: the thread is an engine no more */
};

/* Called by the engine's own thread. */
SEC("syscall")
int ob_engine(struct ob_engine_args *args)
{
	__u32 lane = args->lane;
	__u64 *engine = bpf_map_lookup_elem(&engines, &lane);
	struct ob_lane *l = bpf_map_lookup_elem(&lanes, &lane);

	if (!engine || !l)
		return -1;
	*engine = args->leave ? 0 : bpf_get_current_task();
	if (!args->leave)
		STORE(l->watch.dead_ns, 0);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
