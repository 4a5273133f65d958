/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* Headers of a link frame: parse, answer in place, encapsulate. */
#ifndef OB_FRAME_H
#define OB_FRAME_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include "maps.h"

#define OB_LINK_HEADERS (OB_ETH_IP_UDP + sizeof(struct ob_link_hdr))

/* Ethernet, IPv4 without options and UDP, one behind the other. Pointers, not
 * one struct: packed, the compiler would read it byte by byte.
 */
struct ob_headers {
	struct ethhdr *eth;
	struct iphdr *ip;
	struct udphdr *udp;
};

_Static_assert(sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct udphdr) ==
		       OB_ETH_IP_UDP,
	       "headers without options");

static __always_inline struct ob_headers headers_at(void *data)
{
	struct ob_headers o = {
		.eth = data,
		.ip = data + sizeof(struct ethhdr),
		.udp = data + sizeof(struct ethhdr) + sizeof(struct iphdr),
	};

	return o;
}

/* An 802.1Q tag stands between the MAC addresses and the type. The verifier
 * knows order_vlan: where there is none, none of this is left.
 */
#define OB_VLAN_BYTES 4
#define OB_VLAN_ID 0x0fff

static __always_inline __u32 order_tag_bytes(void)
{
	return order_vlan ? OB_VLAN_BYTES : 0;
}

/* The first byte behind the Ethernet header of a frame of the order network. */
static __always_inline void *order_network(void *data, void *end)
{
	const struct ethhdr *eth = data;
	const __be16 *tag = data + sizeof(*eth);
	void *at = data + sizeof(*eth) + order_tag_bytes();

	if (at > end)
		return NULL;
	if (order_vlan && (eth->h_proto != bpf_htons(ETH_P_8021Q) ||
			   (*tag & bpf_htons(OB_VLAN_ID)) != bpf_htons(order_vlan)))
		return NULL;
	return at;
}

/* The type of what follows, tagged or not. */
static __always_inline __be16 type_before(const void *at)
{
	return *((const __be16 *)at - 1);
}

/*
 * A whole UDP datagram over IPv4 without options. Fragments are the kernel's:
 * what is not the first has no ports, and none is a whole frame.
 */
static __always_inline int is_datagram(const struct ob_headers *o)
{
	return type_before(o->ip) == bpf_htons(ETH_P_IP) && *(const __u8 *)o->ip == 0x45 &&
	       !(o->ip->frag_off & bpf_htons(0x3fff)) && o->ip->protocol == IPPROTO_UDP;
}

static __always_inline __u16 ip_checksum(const struct iphdr *ip)
{
	const __u16 *w = (const __u16 *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += w[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void set_lengths(struct ob_headers *o, __u32 payload)
{
	o->ip->tot_len = bpf_htons(sizeof(*o->ip) + sizeof(*o->udp) + payload);
	o->ip->check = 0;
	o->ip->check = ip_checksum(o->ip);
	o->udp->len = bpf_htons(sizeof(*o->udp) + payload);
}

/* Turns the frame round. The IPv4 checksum is the same for swapped addresses. */
static __always_inline void swap_direction(struct ob_headers *o)
{
	__u8 mac[ETH_ALEN];
	__u32 ip = o->ip->saddr;
	__u16 port = o->udp->source;

	__builtin_memcpy(mac, o->eth->h_source, ETH_ALEN);
	__builtin_memcpy(o->eth->h_source, o->eth->h_dest, ETH_ALEN);
	__builtin_memcpy(o->eth->h_dest, mac, ETH_ALEN);
	o->ip->saddr = o->ip->daddr;
	o->ip->daddr = ip;
	o->udp->source = o->udp->dest;
	o->udp->dest = port;
}

/* Writes the headers of a frame this node's kernel sends of its own accord. */
static __always_inline void put_headers(struct ob_headers *o, const struct ob_lane_config *cfg,
					__u32 payload)
{
	__builtin_memcpy(o->eth->h_dest, cfg->peer_link_mac, ETH_ALEN);
	__builtin_memcpy(o->eth->h_source, cfg->link_mac, ETH_ALEN);
	o->eth->h_proto = bpf_htons(ETH_P_IP);
	__builtin_memset(o->ip, 0, sizeof(*o->ip));
	o->ip->version = 4;
	o->ip->ihl = 5;
	o->ip->ttl = 64;
	o->ip->protocol = IPPROTO_UDP;
	o->ip->saddr = cfg->link_ip;
	o->ip->daddr = cfg->peer_link_ip;
	o->udp->source = cfg->link_port;
	o->udp->dest = cfg->link_port;
	o->udp->check = 0;
	set_lengths(o, payload);
}

#endif /* OB_FRAME_H */
