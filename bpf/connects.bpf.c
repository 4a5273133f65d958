//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * How many connections an address may begin at a listener. It is the filter of the
 * listening socket: the kernel asks it before it answers a SYN, so that one too many
 * costs neither a connection nor anybody's wake-up. Nobody is told: whoever is let in
 * again a moment later sends the SYN again by then.
 *
 * Sockets of connections take their listener's filter with them; what is no SYN passes.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FLAGS 13 /* of a TCP header */
#define SYN 2
#define ACK 16

#define KEEP 0xffffffff /* all bytes */
#define DROP 0

/* Time between two connections, and how much of it may be saved up. */
const volatile __u64 interval_ns;
const volatile __u64 burst_ns;

/* An IPv4 address, or the 64 bits of an IPv6 one that a host is given. */
struct source {
	__u32 family;
	__u32 address[2];
};

/* Until when an address has used up its connections. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct source);
	__type(value, __u64);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} dropped SEC(".maps");

static __always_inline int source_of(struct __sk_buff *skb, struct source *s)
{
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		s->family = 4;
		return bpf_skb_load_bytes_relative(skb, offsetof(struct iphdr, saddr), s->address,
						   sizeof(__u32), BPF_HDR_START_NET);
	}
	s->family = 6;
	return bpf_skb_load_bytes_relative(skb, offsetof(struct ipv6hdr, saddr), s->address,
					   sizeof(s->address), BPF_HDR_START_NET);
}

/* A filter of a TCP socket sees segments from their header on. */
SEC("socket")
int ob_connects(struct __sk_buff *skb)
{
	__u64 now, *until, next, *count;
	struct source s = {};
	__u32 zero = 0;
	__u8 flags;

	if (bpf_skb_load_bytes(skb, FLAGS, &flags, 1) || (flags & (SYN | ACK)) != SYN)
		return KEEP;
	if (source_of(skb, &s))
		return KEEP;
	now = bpf_ktime_get_ns();
	until = bpf_map_lookup_elem(&sources, &s);
	next = until && *until > now ? *until : now;
	if (next - now > burst_ns) {
		count = bpf_map_lookup_elem(&dropped, &zero);
		if (count)
			__sync_fetch_and_add(count, 1);
		return DROP;
	}
	next += interval_ns;
	bpf_map_update_elem(&sources, &s, &next, BPF_ANY);
	return KEEP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
