/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The second path to the peer: link frames on the order NIC, addressed to this
 * node's own address there. It shows and asks for life, and it carries the proof
 * that an engine is through; what moves the log or lets something out travels on
 * the link NIC only. So it needs neither the link program's lock nor its speed.
 */
#ifndef OB_SECOND_H
#define OB_SECOND_H

#include "auth.h"
#include "frame.h"
#include "proof.h"

static __always_inline int is_own_address(__u32 ip)
{
	for (__u32 i = 0; i < OB_LANES; i++)
		if (order_ip[i] && order_ip[i] == ip)
			return 1;
	return 0;
}

/* Life, or the question for it, or proof. */
static __always_inline int second_takes(enum ob_type type)
{
	return type == OB_MIRROR || type == OB_LIFE || type == OB_PROBE || type == OB_FENCED_FRAME;
}

/* Turns a PROBE into its answer and sends it back by the order NIC. Not XDP_TX:
 * see answer_arp().
 */
static __always_inline int second_answer(struct ob_headers *o, struct ob_link_hdr *h,
					 struct ob_lane *l, const struct ob_nh_key *nk, __u32 lane,
					 __u64 word)
{
	__u32 dev = lane * 2;
	int fenced = word_state(word) == OB_FENCED;

	swap_direction(o);
	o->udp->check = 0; /* as every sender of link frames leaves it */
	h->type = fenced ? OB_FENCED_FRAME : OB_LIFE;
	h->node = l->cfg.node;
	h->epoch = word_epoch(word);
	h->path = OB_PATH_STEER_ORDER;
	h->flags = 0;
	h->reserved16 = 0;
	h->successor = fenced ? l->cfg.peer_node : 0;
	h->tail = LOAD(l->tail);
	h->applied = LOAD(l->engine.released);
	h->authority = word;
	h->incarnation = l->cfg.incarnation;
	h->output = 0;
	h->echo = h->counter;
	h->counter = ++l->second.counter;
	h->mac = l->cfg.flags & OB_CFG_AUTH ? frame_mac(h, nk, 0, l->cfg.tx_key) : 0;
	if (bpf_redirect_map(&devs, dev, XDP_DROP) != XDP_REDIRECT)
		return drop(OB_R_NO_DEVICE);
	count(OB_R_PROBE_ANSWERED);
	return XDP_REDIRECT;
}

/* Whole frame, sender's ring, and a counter of this NIC that was not used before. */
static __always_inline enum ob_reason
second_authenticate(struct ob_lane *l, const struct ob_nh_key *nk, const struct ob_link_hdr *h)
{
	__u32 path = h->path;

	if (l->cfg.flags & OB_CFG_AUTH && frame_mac(h, nk, 0, l->cfg.rx_key) != h->mac)
		return OB_R_LINK_MAC;
	if (path < OB_PATH_ENGINE_ORDER || path >= OB_PATHS)
		return OB_R_LINK_PATH;
	if (h->counter <= l->rx_counter[path])
		return OB_R_LINK_REPLAY;
	l->rx_counter[path] = h->counter;
	STORE(l->second.frames, l->second.frames + 1);
	return OB_R_NONE;
}

static __always_inline int second_dispatch(struct ob_headers *o, struct ob_link_hdr *h,
					   struct ob_lane *l, struct ob_authority *a,
					   const struct ob_nh_key *nk, __u32 lane)
{
	__u64 word = LOAD(a->word);
	__u32 epoch = word_epoch(word), state = word_state(word);

	if (h->epoch > epoch) {
		/* User space sees the word; it needs nothing else of the frame. */
		if (state != OB_INIT && state != OB_SYNCING)
			word_swap(a, word, make_word(epoch, OB_SYNCING));
		return drop(OB_R_MIRROR_NEWER);
	}
	switch (h->type) {
	case OB_PROBE:
		word = probed(l, a, lane, word, h);
		return second_answer(o, h, l, nk, lane, word);
	case OB_FENCED_FRAME:
		if (told_fenced(l, a, lane, word, h))
			return XDP_DROP;
		return drop(OB_R_FENCED_RECEIVED);
	}
	if (h->epoch == epoch)
		STORE(l->peer.authority, h->authority);
	return drop(OB_R_LIFE);
}

/* A datagram to the link port: the kernel's, unless it is to this node itself. */
static __always_inline int second_path(struct xdp_md *ctx, struct ob_headers *o)
{
	void *end = (void *)(long)ctx->data_end;
	struct ob_link_hdr *h = (void *)(o->udp + 1);
	struct ob_authority *a;
	struct ob_nh_key *nk;
	struct ob_lane *l;
	enum ob_reason reason;
	__u32 lane;
	int verdict;

	if (!is_own_address(o->ip->daddr))
		return XDP_PASS;
	if ((void *)(h + 1) > end)
		return drop(OB_R_LINK_TRUNCATED);
	if (h->magic != OB_MAGIC)
		return drop(OB_R_LINK_MAGIC);
	if (h->version != OB_VERSION)
		return drop(OB_R_LINK_VERSION);
	lane = h->lane;
	l = bpf_map_lookup_elem(&lanes, &lane);
	a = bpf_map_lookup_elem(&authority, &lane);
	nk = nh_key(lane);
	if (!l || !a || !nk || !l->cfg.used || !l->cfg.peer_node)
		return drop(OB_R_LINK_LANE);
	if (h->length || h->ride)
		return drop(OB_R_SECOND_TYPE); /* a header alone */
	if ((void *)(h + 1) != end)
		return drop(OB_R_LINK_LENGTH);
	if (!second_takes(h->type))
		return drop(OB_R_SECOND_TYPE);
	if (o->ip->saddr != l->cfg.peer_order_ip || o->ip->daddr != l->cfg.order_ip)
		return drop(OB_R_LINK_ADDRESS);
	if (h->node != l->cfg.peer_node)
		return drop(OB_R_LINK_NODE);
	if (h->incarnation != l->cfg.peer_incarnation)
		return drop(OB_R_LINK_INCARNATION);
	/* An exchange, not a store: user space holds it while it changes the keys. */
	if (__sync_lock_test_and_set(&l->second.busy, 1))
		return drop(OB_R_LINK_BUSY);
	reason = second_authenticate(l, nk, h);
	verdict = reason ? drop(reason) : second_dispatch(o, h, l, a, nk, lane);
	STORE(l->second.busy, 0);
	return verdict;
}

#endif /* OB_SECOND_H */
