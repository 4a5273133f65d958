/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Neighbour Discovery for lane addresses of IPv6 (RFC 4861), as answer_arp() is
 * for those of IPv4. A solicitation is answered by a frame written anew: what was
 * asked, and with which options, makes no difference to it.
 */
#ifndef OB_ND_H
#define OB_ND_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include "frame.h"
#include "lane.h"
#include "maps.h"

struct ob_nd {
	__u8 type, code;
	__u16 check;
	__u32 flags;
	struct in6_addr target;
};

/* What an answer has behind it: the link-layer address of the target. */
struct ob_nd_option {
	__u8 type, units;
	__u8 mac[ETH_ALEN];
};

#define OB_ND_SOLICITATION 135
#define OB_ND_ADVERTISEMENT 136
#define OB_ND_SOURCE_MAC 1
#define OB_ND_TARGET_MAC 2
#define OB_ND_HOPS 255 /* what passed a router has less */
#define OB_ND_SOLICITED 0x40
#define OB_ND_OVERRIDE 0x20
#define OB_ND_UNITS 16 /* most options that are looked at, in 8 bytes */
#define OB_ND_ANSWER (sizeof(struct ob_nd) + sizeof(struct ob_nd_option))

/* Lane of an address, OB_LANES when it is nobody's. */
static __always_inline __u32 find_lane6(const struct in6_addr *ip)
{
	const __u32 *w = ip->in6_u.u6_addr32;

	for (__u32 i = 0; i < OB_LANES; i++) {
		const volatile __u32 *own = lane_ip6[i];

		if ((own[0] || own[3]) && own[0] == w[0] && own[1] == w[1] && own[2] == w[2] &&
		    own[3] == w[3])
			return i;
	}
	return OB_LANES;
}

/* Headers behind which a datagram may stand (RFC 7045, section 4), or a part of one. */
static __always_inline int is_extension(__u8 next)
{
	switch (next) {
	case 0: /* hop-by-hop options */
	case 43: /* routing */
	case 44: /* fragment */
	case 50: /* ESP */
	case 51: /* authentication */
	case 60: /* destination options */
	case 135: /* mobility */
	case 139: /* host identity */
	case 140: /* shim6 */
		return 1;
	}
	return 0;
}

static __always_inline __u16 fold_sum(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Sum over words, and over the pseudo header that they have before them. */
static __always_inline __u64 sum_words(const void *at, __u32 words)
{
	const __u32 *w = at;
	__u64 sum = 0;

#pragma unroll
	for (__u32 i = 0; i < words; i++)
		sum += w[i];
	return sum;
}

static __always_inline __u64 nd_pseudo(const struct ipv6hdr *ip, __u32 length)
{
	return sum_words(&ip->saddr, 8) + bpf_htonl(length) + bpf_htonl(IPPROTO_ICMPV6);
}

/* The group that an address is asked for in (RFC 4291, section 2.7.1). */
static __always_inline int is_solicited_node(const struct in6_addr *group,
					     const struct in6_addr *target)
{
	const __u32 *g = group->in6_u.u6_addr32, *t = target->in6_u.u6_addr32;

	return g[0] == bpf_htonl(0xff020000) && !g[1] && g[2] == bpf_htonl(1) &&
	       g[3] == (t[3] | bpf_htonl(0xff000000));
}

/* What a host must not answer (RFC 4861, section 7.1.1). */
static __always_inline int nd_valid(const struct ipv6hdr *ip, const struct ob_nd *nd, void *end)
{
	const __u32 *src = ip->saddr.in6_u.u6_addr32, *w = (const void *)(nd + 1);
	__u32 length = bpf_ntohs(ip->payload_len), units, rest = 0;
	int nobody = !(src[0] | src[1] | src[2] | src[3]);
	__u64 sum;

	if (ip->hop_limit != OB_ND_HOPS || nd->code || length < sizeof(*nd) || length & 7)
		return 0;
	units = (length - sizeof(*nd)) / 8;
	if (units > OB_ND_UNITS || (nobody && !is_solicited_node(&ip->daddr, &nd->target)))
		return 0;
	sum = nd_pseudo(ip, length) + sum_words(nd, sizeof(*nd) / 4);
	for (__u32 i = 0; i < OB_ND_UNITS; i++, w += 2) {
		if (i >= units)
			break;
		if ((void *)(w + 2) > end)
			return 0;
		sum += w[0];
		sum += w[1];
		if (!rest) {
			rest = w[0] >> 8 & 0xff;
			/* Who has no address yet tells no MAC. */
			if (!rest || (nobody && (w[0] & 0xff) == OB_ND_SOURCE_MAC))
				return 0;
		}
		rest--;
	}
	return !rest && fold_sum(sum) == 0xffff;
}

/* What the answer to a solicitation takes from it. */
struct nd_question {
	struct in6_addr from, target;
	__u8 mac[ETH_ALEN];
	__u32 tag; /* of the VLAN, with its priority */
};

/* Writes the answer over a frame that has its length. */
static __always_inline void put_advertisement(void *data, const struct nd_question *q,
					      const __u8 *mac)
{
	struct ethhdr *eth = data;
	struct ipv6hdr *ip = data + sizeof(*eth) + order_tag_bytes();
	struct ob_nd *nd = (void *)(ip + 1);
	struct ob_nd_option *option = (void *)(nd + 1);
	const __u32 *from = q->from.in6_u.u6_addr32;
	int nobody = !(from[0] | from[1] | from[2] | from[3]);

	__builtin_memcpy(eth->h_dest, q->mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	if (order_vlan)
		__builtin_memcpy(&eth->h_proto, &q->tag, OB_VLAN_BYTES);
	*((__be16 *)ip - 1) = bpf_htons(ETH_P_IPV6);
	*(__u32 *)ip = bpf_htonl(6 << 28);
	ip->payload_len = bpf_htons(OB_ND_ANSWER);
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = OB_ND_HOPS;
	ip->saddr = q->target;
	ip->daddr = q->from;
	nd->type = OB_ND_ADVERTISEMENT;
	nd->code = 0;
	nd->check = 0;
	nd->flags = OB_ND_SOLICITED | OB_ND_OVERRIDE; /* the first byte of four */
	if (nobody) { /* to all nodes */
		const __u8 group[ETH_ALEN] = { 0x33, 0x33, 0, 0, 0, 1 };

		__builtin_memcpy(eth->h_dest, group, ETH_ALEN);
		ip->daddr.in6_u.u6_addr32[0] = bpf_htonl(0xff020000);
		ip->daddr.in6_u.u6_addr32[3] = bpf_htonl(1);
		nd->flags = OB_ND_OVERRIDE;
	}
	nd->target = q->target;
	option->type = OB_ND_TARGET_MAC;
	option->units = 1;
	__builtin_memcpy(option->mac, mac, ETH_ALEN);
	nd->check = ~fold_sum(nd_pseudo(ip, OB_ND_ANSWER) + sum_words(nd, OB_ND_ANSWER / 4));
}

/*
 * Only the ACTIVE node answers for the lane address, also to who is about to take
 * it. The frame's beginning moves until its length is the answer's: there is room
 * before a frame, not always behind it.
 */
static __always_inline int answer_nd(struct xdp_md *ctx, struct ethhdr *eth, struct ipv6hdr *ip)
{
	void *data, *end = (void *)(long)ctx->data_end;
	struct ob_nd *nd = (void *)(ip + 1);
	__u64 bytes = sizeof(*eth) + order_tag_bytes() + sizeof(*ip) + OB_ND_ANSWER;
	struct nd_question q = {};
	struct ob_authority *a;
	struct ob_lane *l;
	__u32 lane, dev;
	__s64 longer;

	if ((void *)(nd + 1) > end || nd->type != OB_ND_SOLICITATION)
		return XDP_PASS;
	lane = find_lane6(&nd->target);
	l = bpf_map_lookup_elem(&lanes, &lane);
	a = bpf_map_lookup_elem(&authority, &lane);
	if (!l || !a)
		return XDP_PASS;
	if (word_state(LOAD(a->word)) != OB_ACTIVE)
		return drop(OB_R_ND_NOT_ACTIVE);
	if (!nd_valid(ip, nd, end))
		return drop(OB_R_ND_INVALID);
	q.from = ip->saddr;
	q.target = nd->target;
	__builtin_memcpy(q.mac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(&q.tag, &eth->h_proto, OB_VLAN_BYTES);
	longer = ctx->data_end - ctx->data;
	asm volatile("" : "+r"(longer)); /* pointers are subtracted in 64 bits only */
	longer -= bytes;
	if (bpf_xdp_adjust_head(ctx, longer))
		return drop(OB_R_ND_INVALID);
	data = (void *)(long)ctx->data;
	if (data + bytes > (void *)(long)ctx->data_end)
		return drop(OB_R_ND_INVALID);
	put_advertisement(data, &q, l->cfg.order_mac);
	/* Not XDP_TX: see answer_arp(). */
	dev = lane * 2;
	if (bpf_redirect_map(&devs, dev, XDP_DROP) != XDP_REDIRECT)
		return drop(OB_R_NO_DEVICE);
	count(OB_R_ND_ANSWERED);
	return XDP_REDIRECT;
}

#endif /* OB_ND_H */
