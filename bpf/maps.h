/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* The maps both programs share. The first loader creates and pins them. */
#ifndef OB_MAPS_H
#define OB_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "onebeat.h"

/* Room behind the ring so that a bounded copy at its last byte stays inside. */
#define OB_RING_SLACK 2048

/* Set by the loader before the programs are verified. */
const volatile __u64 ring_size = 1 << 20;
const volatile __u16 link_port = 0; /* network order */
const volatile __u32 lane_ip[OB_LANES] = {}; /* network order, 0: none */
const volatile __u32 lane_ip6[OB_LANES][4] = {}; /* likewise: a lane has one of both */
const volatile __u32 order_ip[OB_LANES] = {}; /* this node's own on the order NIC, likewise */
const volatile __u16 order_vlan = 0; /* 802.1Q tag of the order network; 0: untagged */
/* TCP ports of a lane address, network order; the first is 0 where there are none */
const volatile __u16 tcp_port[OB_LANES][OB_TCP_PORTS] = {};

/* Never read: what only inlined code uses would not be in BTF, from which tests
 * compare Go with C.
 */
struct ob_contract {
	struct ob_link_hdr hdr;
	struct ob_record_hdr record;
	enum ob_state state;
	enum ob_type type;
	enum ob_why why;
};

const struct ob_contract *const volatile ob_contract = 0;

/* The authority words, a cache line each: they are compared and swapped by
 * XDP, timer and user space at once.
 */
struct ob_authority {
	__u64 word;
	__u64 pad[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OB_LANES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct ob_authority);
} authority SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OB_LANES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct ob_lane);
} lanes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OB_LANES);
	__type(key, __u32);
	__type(value, struct ob_nh_key);
} nh_keys SEC(".maps");

/* One ring per lane; the loader sets the inner value size to ring_size and the
 * slack.
 */
struct ob_ring {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, (1 << 20) + OB_RING_SLACK);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, OB_LANES);
	__uint(key_size, sizeof(__u32));
	__array(values, struct ob_ring);
} rings SEC(".maps");

/* Sockets by lane * OB_QUEUES + rx queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, OB_LANES *OB_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_order SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, OB_LANES *OB_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_link SEC(".maps");

/* Where frames leave: lane * 2 the order NIC, lane * 2 + 1 the link NIC. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, OB_LANES * 2);
	__type(key, __u32);
	__type(value, __u32);
} devs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OB_R_MAX);
	__type(key, enum ob_reason); /* keeps the names in BTF, for user space */
	__type(value, __u64);
} reasons SEC(".maps");

/* Not mmapable: user space must never overwrite a bpf_timer. */
struct ob_timer {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, OB_LANES);
	__type(key, __u32);
	__type(value, struct ob_timer);
} timers SEC(".maps");

static __always_inline void count(enum ob_reason reason)
{
	__u32 key = reason;
	__u64 *n = bpf_map_lookup_elem(&reasons, &key);

	if (n)
		*n += 1;
}

/* Counts and drops: no frame is dropped without a reason. */
static __always_inline int drop(enum ob_reason reason)
{
	count(reason);
	return XDP_DROP;
}

#endif /* OB_MAPS_H */
