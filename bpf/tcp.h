/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * TCP at a lane address. The address is local to the kernel's stack of every
 * node of the lane, all the time; the authority word decides whose stack hears
 * and is heard. This is the way in, stack.bpf.c the way out.
 */
#ifndef OB_TCP_H
#define OB_TCP_H

#include "frame.h"
#include "lane.h"
#include "nd.h"

/* Lane of an address that is also served over TCP, OB_LANES when there is none;
 * find_tcp_lane6 is that of an IPv6 one.
 */
static __always_inline __u32 find_tcp_lane(__u32 ip)
{
	for (__u32 i = 0; i < OB_LANES; i++)
		if (tcp_port[i][0] && lane_ip[i] == ip)
			return i;
	return OB_LANES;
}

static __always_inline __u32 find_tcp_lane6(const struct in6_addr *ip)
{
	__u32 lane = find_lane6(ip);

	if (lane < OB_LANES && tcp_port[lane][0])
		return lane;
	return OB_LANES;
}

static __always_inline int is_tcp_port(__u32 lane, __u16 port)
{
	lane &= OB_LANES - 1; /* for the verifier */
	for (__u32 i = 0; i < OB_TCP_PORTS; i++)
		if (tcp_port[lane][i] && tcp_port[lane][i] == port)
			return 1;
	return 0;
}

/*
 * Whole segments to the lane's ports are the stack's while this node is ACTIVE.
 * Another port's listener must not be reached by this address, and what has no
 * ports in plain sight may be anything.
 *
 * CANDIDATE lets nothing wait, as it does for orders: what the stack answered
 * then would be dropped on its way out.
 */
static __always_inline int steer_segment(__u32 lane, int whole, __u16 port)
{
	struct ob_lane *l = bpf_map_lookup_elem(&lanes, &lane);
	struct ob_authority *a = bpf_map_lookup_elem(&authority, &lane);
	__u64 word;

	if (!l || !a)
		return XDP_PASS;
	word = LOAD(a->word);
	if (!whole || !is_tcp_port(lane, port))
		return drop(OB_R_TCP_REFUSED);
	/* A dead engine's listener may be gone: the stack would refuse a client whom
	 * the successor takes a moment later.
	 */
	if (word_state(word) == OB_ACTIVE && (engine_stuck(l) || engine_gone(l, lane))) {
		enum ob_why why = engine_dead(l)  ? OB_WHY_EXITED :
				  engine_stuck(l) ? OB_WHY_STUCK :
						    OB_WHY_SLOT_EMPTY;

		if (fence(l, a, word, why))
			count(OB_R_FENCED_BY_STEER);
		word = LOAD(a->word);
	}
	if (word_state(word) != OB_ACTIVE)
		return drop(OB_R_TCP_NOT_ACTIVE);
	count(OB_R_TCP_TO_STACK);
	return XDP_PASS;
}

static __always_inline int steer_tcp(const struct ob_headers *o)
{
	int whole = *(const __u8 *)o->ip == 0x45 && !(o->ip->frag_off & bpf_htons(0x3fff));

	if (type_before(o->ip) != bpf_htons(ETH_P_IP) || o->ip->protocol != IPPROTO_TCP)
		return XDP_PASS;
	return steer_segment(find_tcp_lane(o->ip->daddr), whole, o->udp->dest);
}

#endif /* OB_TCP_H */
