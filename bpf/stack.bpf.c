//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What the kernel's own stack sends out of the order NIC from a lane address:
 * segments of TCP connections and their retransmissions, ARP that would tell
 * neighbours where the address is. It leaves only while this node is ACTIVE for
 * the lane: a process that was stopped, or killed a moment ago, still has sockets
 * that the kernel serves. Frames of the engine and of the other programs do not
 * come this way (AF_XDP and XDP redirects know no tc).
 *
 * A reset may always leave. It confirms nothing; the stack of a node that hears
 * no segments sends one only for a connection of its own that its process gives
 * up, and an idle client learns from it that it has to connect again.
 */
#include <linux/pkt_cls.h>
#include "tcp.h"

/* Behind hardware, protocol, their sizes, operation and the sender's MAC. */
#define ARP_SENDER_IP 14

#define TCP_FLAGS 13 /* of a TCP header: the byte with RST in it */
#define TCP_RST 4

/* at: where a header of TCP begins. */
static __always_inline int is_reset(struct __sk_buff *skb, __u32 at)
{
	__u8 flags;

	return !bpf_skb_load_bytes(skb, at + TCP_FLAGS, &flags, 1) && flags & TCP_RST;
}

/* at: where an IPv4 header begins. Where its segment begins, 0: it has none. */
static __always_inline __u32 segment4(struct __sk_buff *skb, __u32 at)
{
	__u8 length, protocol;

	if (bpf_skb_load_bytes(skb, at, &length, 1) ||
	    bpf_skb_load_bytes(skb, at + offsetof(struct iphdr, protocol), &protocol, 1) ||
	    protocol != IPPROTO_TCP)
		return 0;
	return at + (length & 15) * 4;
}

/* The same behind an IPv6 header; the stack of a lane sends no extensions. */
static __always_inline __u32 segment6(struct __sk_buff *skb, __u32 at)
{
	__u8 next;

	if (bpf_skb_load_bytes(skb, at + offsetof(struct ipv6hdr, nexthdr), &next, 1) ||
	    next != IPPROTO_TCP)
		return 0;
	return at + sizeof(struct ipv6hdr);
}

/*
 * Drops on the way out are counted like those on the way in. at: where a header
 * of TCP begins, 0: there is none.
 */
static __always_inline int gate(struct __sk_buff *skb, __u32 lane, __u32 at)
{
	struct ob_authority *a = bpf_map_lookup_elem(&authority, &lane);

	if (!a || word_state(LOAD(a->word)) == OB_ACTIVE)
		return TC_ACT_UNSPEC;
	if (at && is_reset(skb, at))
		return TC_ACT_UNSPEC;
	count(OB_R_STACK_NOT_ACTIVE);
	return TC_ACT_SHOT;
}

/* The tag of a VLAN interface may stand in the frame or beside it. */
SEC("tc")
int ob_stack(struct __sk_buff *skb)
{
	__be16 type;
	struct in6_addr ip6;
	__u32 ip, at = ETH_HLEN;

	if (bpf_skb_load_bytes(skb, at - sizeof(type), &type, sizeof(type)))
		return TC_ACT_UNSPEC;
	if (type == bpf_htons(ETH_P_8021Q)) {
		at += OB_VLAN_BYTES;
		if (bpf_skb_load_bytes(skb, at - sizeof(type), &type, sizeof(type)))
			return TC_ACT_UNSPEC;
	}
	if (type == bpf_htons(ETH_P_ARP)) {
		if (!bpf_skb_load_bytes(skb, at + ARP_SENDER_IP, &ip, sizeof(ip)))
			return gate(skb, find_tcp_lane(ip), 0);
	} else if (type == bpf_htons(ETH_P_IP)) {
		if (!bpf_skb_load_bytes(skb, at + offsetof(struct iphdr, saddr), &ip, sizeof(ip)))
			return gate(skb, find_tcp_lane(ip), segment4(skb, at));
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		if (!bpf_skb_load_bytes(skb, at + offsetof(struct ipv6hdr, saddr), &ip6,
					sizeof(ip6)))
			return gate(skb, find_tcp_lane6(&ip6), segment6(skb, at));
	}
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
