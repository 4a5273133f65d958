//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The order NIC. Frames for a lane address go to the engine's socket while
 * this node is ACTIVE for the lane, wait there while it is CANDIDATE, travel to
 * the successor once the engine is fenced, and are dropped otherwise. Link
 * frames to this node's own address are the peer's second path. TCP to a lane's
 * ports goes to the kernel's stack while this node is ACTIVE. All other traffic
 * is the kernel's.
 */
#include "nd.h"
#include "second.h"
#include "tcp.h"

struct arp_ipv4 {
	__u16 hardware, protocol;
	__u8 hardware_bytes, protocol_bytes;
	__u16 operation;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender_ip[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target_ip[4];
};

#define ARP_REQUEST 1
#define ARP_REPLY 2

/* Lane of an address, OB_LANES when it is nobody's. */
static __always_inline __u32 find_lane(__u32 ip)
{
	for (__u32 i = 0; i < OB_LANES; i++)
		if (lane_ip[i] && lane_ip[i] == ip)
			return i;
	return OB_LANES;
}

/* Only the ACTIVE node answers for the lane address; a tag stays where it is. */
static __always_inline int answer_arp(struct xdp_md *ctx, struct ethhdr *eth, struct arp_ipv4 *arp)
{
	void *end = (void *)(long)ctx->data_end;
	struct ob_authority *a;
	struct ob_lane *l;
	__u32 ip, lane, dev;

	if ((void *)(arp + 1) > end || arp->operation != bpf_htons(ARP_REQUEST) ||
	    arp->protocol != bpf_htons(ETH_P_IP) || arp->protocol_bytes != 4)
		return XDP_PASS;
	__builtin_memcpy(&ip, arp->target_ip, 4);
	lane = find_lane(ip);
	l = bpf_map_lookup_elem(&lanes, &lane);
	a = bpf_map_lookup_elem(&authority, &lane);
	if (!l || !a)
		return XDP_PASS;
	if (word_state(LOAD(a->word)) != OB_ACTIVE)
		return drop(OB_R_ARP_NOT_ACTIVE);
	__builtin_memcpy(eth->h_dest, arp->sender_mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, l->cfg.order_mac, ETH_ALEN);
	arp->operation = bpf_htons(ARP_REPLY);
	__builtin_memcpy(arp->target_mac, arp->sender_mac, ETH_ALEN);
	__builtin_memcpy(arp->target_ip, arp->sender_ip, 4);
	__builtin_memcpy(arp->sender_mac, l->cfg.order_mac, ETH_ALEN);
	__builtin_memcpy(arp->sender_ip, &ip, 4);
	/* Not XDP_TX: a veth on a bridge flushes that only to a far end with a
	 * program of its own (veth_xdp_flush), a redirect to any with NAPI.
	 */
	dev = lane * 2;
	if (bpf_redirect_map(&devs, dev, XDP_DROP) != XDP_REDIRECT)
		return drop(OB_R_NO_DEVICE);
	count(OB_R_ARP_ANSWERED);
	return XDP_REDIRECT;
}

/*
 * Sends the order frame to the successor as the ride of a FORWARD, which also
 * says FENCED: one frame moves the traffic and the authority.
 */
static __always_inline int forward(struct xdp_md *ctx, struct ob_lane *l, __u32 lane, __u64 word)
{
	__u64 bytes = ctx->data_end - ctx->data;
	struct ob_lane_config *cfg = &l->cfg;
	struct ob_nh_key *nk = nh_key(lane);
	struct ob_headers o;
	struct ob_link_hdr *h;
	__u32 dev = lane * 2 + 1;
	__u64 nh = 0;
	void *data;

	if (bytes > OB_PAYLOAD_MAX || bytes + OB_LINK_HEADERS > cfg->link_frame_max)
		return drop(OB_R_ORDER_TOO_LONG);
	if (!nk || (cfg->flags & OB_CFG_AUTH && nh_payload(ctx, nk, 0, bytes, &nh)))
		return drop(OB_R_ORDER_TOO_LONG);
	if (bpf_xdp_adjust_head(ctx, -(int)OB_LINK_HEADERS))
		return drop(OB_R_ORDER_TOO_LONG);
	data = (void *)(long)ctx->data;
	o = headers_at(data);
	h = data + OB_ETH_IP_UDP;
	if ((void *)(h + 1) > (void *)(long)ctx->data_end)
		return drop(OB_R_ORDER_TOO_LONG);
	put_headers(&o, cfg, sizeof(*h) + bytes);
	h->magic = OB_MAGIC;
	h->version = OB_VERSION;
	h->type = OB_FORWARD;
	h->lane = lane;
	h->node = cfg->node;
	h->epoch = word_epoch(word);
	h->length = 0;
	h->ride = bytes;
	h->path = OB_PATH_STEER;
	h->flags = 0;
	h->reserved16 = 0;
	h->successor = cfg->peer_node;
	h->position = 0;
	h->tail = LOAD(l->tail);
	h->applied = LOAD(l->engine.released);
	h->authority = word;
	h->incarnation = cfg->incarnation;
	h->output = 0;
	h->echo = 0;
	h->counter = __sync_fetch_and_add(&l->steer_counter, 1) + 1;
	h->mac = cfg->flags & OB_CFG_AUTH ? frame_mac(h, nk, nh, cfg->tx_key) : 0;
	if (bpf_redirect_map(&devs, dev, XDP_DROP) != XDP_REDIRECT)
		return drop(OB_R_NO_DEVICE);
	count(OB_R_ORDER_FORWARDED);
	return XDP_REDIRECT;
}

static __always_inline int steer_active(struct xdp_md *ctx, struct ob_lane *l,
					struct ob_authority *a, __u32 lane, __u64 word)
{
	__u32 slot = lane * OB_QUEUES + (ctx->rx_queue_index & (OB_QUEUES - 1));
	enum ob_why why = engine_dead(l) ? OB_WHY_EXITED : OB_WHY_STUCK;

	if (!engine_stuck(l)) {
		/* The fallback action comes back when the slot is empty. */
		if (bpf_redirect_map(&xsks_order, slot, XDP_DROP) == XDP_REDIRECT) {
			count(OB_R_ORDER_TO_ENGINE);
			return XDP_REDIRECT;
		}
		/* A queue without a socket is a configuration fault, not a death. */
		if (!engine_gone(l, lane))
			return drop(OB_R_ORDER_NO_ENGINE);
		why = OB_WHY_SLOT_EMPTY;
	}
	if (fence(l, a, word, why))
		count(OB_R_FENCED_BY_STEER);
	word = LOAD(a->word);
	if (word_state(word) == OB_FENCED)
		return forward(ctx, l, lane, word);
	/* Nobody to hand it to: a hung engine may still wake up and serve it. */
	if (bpf_redirect_map(&xsks_order, slot, XDP_DROP) == XDP_REDIRECT) {
		count(OB_R_ORDER_TO_ENGINE);
		return XDP_REDIRECT;
	}
	return drop(OB_R_ORDER_NO_ENGINE);
}

/* Verdict of the step below: the frame is a datagram for a lane. */
#define STEER (-1)

/*
 * Finds the lane of a frame with IPv6. Extension headers may hide what follows,
 * and a fragment is no whole order or segment: they are none here.
 */
static __always_inline int steer_ipv6(struct xdp_md *ctx, struct ethhdr *eth, struct ipv6hdr *ip,
				      __u32 *lane)
{
	void *end = (void *)(long)ctx->data_end;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return XDP_PASS;
	if (ip->nexthdr == IPPROTO_ICMPV6)
		return answer_nd(ctx, eth, ip);
	*lane = find_lane6(&ip->daddr);
	if (*lane == OB_LANES)
		return XDP_PASS;
	if (is_extension(ip->nexthdr))
		return drop(OB_R_ORDER_EXTENSION);
	if ((void *)(ip + 1) + sizeof(struct udphdr) > end)
		return XDP_PASS;
	if (ip->nexthdr == IPPROTO_TCP)
		return steer_segment(find_tcp_lane6(&ip->daddr), 1,
				     ((struct udphdr *)(ip + 1))->dest);
	return ip->nexthdr == IPPROTO_UDP ? STEER : XDP_PASS;
}

SEC("xdp")
int ob_steer(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ob_headers o = { .eth = data };
	struct ob_authority *a;
	struct ob_lane *l;
	__u32 lane, slot;
	__u64 word;
	void *at;
	int verdict;

	at = order_network(data, end);
	if (!at)
		return XDP_PASS;
	if (type_before(at) == bpf_htons(ETH_P_ARP))
		return answer_arp(ctx, o.eth, at);
	if (type_before(at) == bpf_htons(ETH_P_IPV6)) {
		verdict = steer_ipv6(ctx, o.eth, at, &lane);
		if (verdict != STEER)
			return verdict;
	} else {
		o.ip = at;
		o.udp = at + sizeof(*o.ip);
		if ((void *)(o.udp + 1) > end)
			return XDP_PASS;
		if (!is_datagram(&o))
			return steer_tcp(&o);
		lane = find_lane(o.ip->daddr);
		if (lane == OB_LANES)
			return o.udp->dest == link_port ? second_path(ctx, &o) : XDP_PASS;
	}
	l = bpf_map_lookup_elem(&lanes, &lane);
	a = bpf_map_lookup_elem(&authority, &lane);
	if (!l || !a)
		return XDP_PASS;

	word = LOAD(a->word);
	switch (word_state(word)) {
	case OB_ACTIVE:
		return steer_active(ctx, l, a, lane, word);
	case OB_CANDIDATE:
		slot = lane * OB_QUEUES + (ctx->rx_queue_index & (OB_QUEUES - 1));
		if (bpf_redirect_map(&xsks_order, slot, XDP_DROP) != XDP_REDIRECT)
			return drop(OB_R_ORDER_NO_ENGINE);
		count(OB_R_ORDER_WAITS);
		return XDP_REDIRECT;
	case OB_FENCED:
		return forward(ctx, l, lane, word);
	}
	return drop(OB_R_ORDER_NOT_ACTIVE);
}

char _license[] SEC("license") = "Dual BSD/GPL";
