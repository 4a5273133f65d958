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

/* at: where an IPv4 header begins. */
static __always_inline int is_reset(struct __sk_buff *skb, __u32 at)
{
	__u8 length, protocol, flags;

	if (bpf_skb_load_bytes(skb, at, &length, 1) ||
	    bpf_skb_load_bytes(skb, at + offsetof(struct iphdr, protocol), &protocol, 1) ||
	    protocol != IPPROTO_TCP)
		return 0;
	at += (length & 15) * 4;
	return !bpf_skb_load_bytes(skb, at + TCP_FLAGS, &flags, 1) && flags & TCP_RST;
}

/*
 * Drops on the way out are counted like those on the way in. at: where an IPv4
 * header begins, 0: there is none.
 */
static __always_inline int gate(struct __sk_buff *skb, __u32 ip, __u32 at)
{
	__u32 lane = find_tcp_lane(ip);
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
	__u32 ip, at = ETH_HLEN, sender, header = 0;

	if (bpf_skb_load_bytes(skb, at - sizeof(type), &type, sizeof(type)))
		return TC_ACT_UNSPEC;
	if (type == bpf_htons(ETH_P_8021Q)) {
		at += OB_VLAN_BYTES;
		if (bpf_skb_load_bytes(skb, at - sizeof(type), &type, sizeof(type)))
			return TC_ACT_UNSPEC;
	}
	if (type == bpf_htons(ETH_P_ARP)) {
		sender = at + ARP_SENDER_IP;
	} else if (type == bpf_htons(ETH_P_IP)) {
		sender = at + offsetof(struct iphdr, saddr);
		header = at;
	} else {
		return TC_ACT_UNSPEC;
	}
	if (bpf_skb_load_bytes(skb, sender, &ip, sizeof(ip)))
		return TC_ACT_UNSPEC;
	return gate(skb, ip, header);
}

char _license[] SEC("license") = "Dual BSD/GPL";
