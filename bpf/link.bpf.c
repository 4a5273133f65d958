//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The link NIC. On the standby it appends what the primary mirrors and bounces
 * the frame back as its ACK; on the primary it turns an ACK into the release of
 * the ride it carries. Where the lane is a chain, the standby itself lets the ride
 * out. It answers PROBEs, and takes FENCED and FORWARD for the
 * proof they are. User space sees what the kernel does not decide alone.
 */
#include <linux/ipv6.h>
#include "auth.h"
#include "frame.h"
#include "proof.h"
#include "watch.h"

/* One frame on its way through the program. */
struct passage {
	struct xdp_md *ctx;
	struct ob_lane *l;
	struct ob_authority *a;
	struct ob_nh_key *nk;
	__u64 word; /* authority as read once, under busy */
	__u64 nh; /* of the payload */
	__u32 lane;
	__u32 bytes; /* of the payload */
	__u32 strip; /* bytes before the ride that is released */
	enum ob_type type; /* of the answer */
	__u8 flags;
};

/* Verdict of the steps below: send the answer. They only decide, so that the
 * costly part of it stands in the program once.
 */
#define ANSWER (-1)
#define RELEASE (-2) /* the ride, out of the order NIC */

static __always_inline int will_answer(struct passage *p, enum ob_type type, __u8 flags,
				       enum ob_reason reason)
{
	count(reason);
	p->type = type;
	p->flags = flags;
	return ANSWER;
}

static __always_inline struct ob_link_hdr *link_header(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct ob_link_hdr *h = data + OB_ETH_IP_UDP;

	if ((void *)(h + 1) > (void *)(long)ctx->data_end)
		return NULL;
	return h;
}

static __always_inline int to_engine(struct passage *p, enum ob_reason reason)
{
	__u32 slot = p->lane * OB_QUEUES + (p->ctx->rx_queue_index & (OB_QUEUES - 1));

	if (bpf_redirect_map(&xsks_link, slot, XDP_DROP) != XDP_REDIRECT)
		return drop(OB_R_LINK_NO_ENGINE);
	count(reason);
	return XDP_REDIRECT;
}

/*
 * Turns the frame in place into this kernel's answer and sends it back. What
 * follows the header is kept only if it holds a ride.
 */
static __always_inline int answer(struct passage *p)
{
	struct ob_lane *l = p->l;
	enum ob_type type = p->type;
	struct ob_headers o;
	struct ob_link_hdr *h;
	__u32 *words;
	void *data;

	h = link_header(p->ctx);
	if (!h)
		return drop(OB_R_LINK_TRUNCATED);
	if (p->bytes && (type != OB_ACK || !h->ride)) {
		if (bpf_xdp_adjust_tail(p->ctx, -(int)p->bytes))
			return drop(OB_R_LINK_TRUNCATED);
		p->bytes = 0;
		p->nh = 0;
	}
	data = (void *)(long)p->ctx->data;
	o = headers_at(data);
	h = link_header(p->ctx);
	if (!h)
		return drop(OB_R_LINK_TRUNCATED);
	swap_direction(&o);
	/* What is narrower than a word is stored as one: frame_mac() reads words,
	 * and a load that spans several stores waits until they have left the
	 * store buffer, behind those to the ring's cold lines (100 ns).
	 */
	words = (__u32 *)h;
	if (!p->bytes) {
		set_lengths(&o, sizeof(*h));
		/* position + length is what an ACK answers, with or without bytes. */
		h->position += h->length;
		words[__builtin_offsetof(struct ob_link_hdr, length) / 4] = 0; /* and ride */
		h->output = 0;
	}
	words[__builtin_offsetof(struct ob_link_hdr, version) / 4] =
		OB_VERSION | type << 8 | p->lane << 16 | l->cfg.node << 24;
	h->epoch = word_epoch(p->word);
	if (type == OB_ACK)
		p->flags |= l->cfg.flags & OB_F_CHAIN;
	words[__builtin_offsetof(struct ob_link_hdr, path) / 4] = OB_PATH_LINK | (__u32)p->flags
											 << 8;
	h->successor = type == OB_FENCED_FRAME ? l->cfg.peer_node :
		       type == OB_ACK	       ? (__u32)l->next_output :
						 0;
	h->tail = l->tail;
	h->applied = type == OB_ACK ? LOAD(l->engine.applied) : LOAD(l->engine.released);
	h->authority = p->word;
	h->incarnation = l->cfg.incarnation;
	h->echo = h->counter;
	h->counter = ++l->link_counter;
	h->mac = l->cfg.flags & OB_CFG_AUTH ? frame_mac(h, p->nk, p->nh, l->cfg.tx_key) : 0;
	return XDP_TX;
}

/* The next output leaves by the order NIC; false when there is none. */
static __always_inline int leaves(struct passage *p)
{
	__u32 dev = p->lane * 2;

	return bpf_redirect_map(&devs, dev, XDP_DROP) == XDP_REDIRECT;
}

/*
 * Makes a frame of the writer's one of this node's, as a router does: a switch
 * learns from each frame where an address is, and who receives it can tell from
 * the TTL (RFC 1141 for its checksum).
 */
static __always_inline void relay(struct passage *p)
{
	void *data = (void *)(long)p->ctx->data, *end = (void *)(long)p->ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth) + order_tag_bytes();
	__u32 check;

	if ((void *)(ip + 1) > end)
		return;
	__builtin_memcpy(eth->h_source, p->l->cfg.order_mac, ETH_ALEN);
	if (type_before(ip) == bpf_htons(ETH_P_IPV6)) {
		((struct ipv6hdr *)ip)->hop_limit--; /* in the first 20 bytes too */
		return;
	}
	check = ip->check + bpf_htons(0x0100);
	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

/* Strips what stands before the ride. */
static __always_inline int release(struct passage *p)
{
	if (bpf_xdp_adjust_head(p->ctx, p->strip))
		return drop(OB_R_LINK_LENGTH);
	if (word_state(p->word) == OB_STANDBY)
		relay(p);
	return XDP_REDIRECT;
}

/*
 * The log holds what the frame brought. Both members have it, so its ride may
 * leave from here, one hop earlier than from the writer: if the writer wants
 * that, and it is the next output. Else it is bounced, and leaves there.
 */
static __always_inline int mirrored(struct passage *p, struct ob_link_hdr *h, enum ob_reason reason)
{
	struct ob_lane *l = p->l;

	if (!h->ride || !(h->flags & l->cfg.flags & OB_F_CHAIN) || h->output != l->next_output ||
	    !leaves(p))
		return will_answer(p, OB_ACK, 0, reason);
	l->next_output++;
	p->strip = OB_LINK_HEADERS + h->length;
	count(reason);
	count(OB_R_RIDE_CHAINED);
	return RELEASE;
}

/*
 * The standby's half of the mirror. Position, not content, decides: a repeat is
 * bounced again so that a lost ACK costs one resend, a gap is answered so that
 * the sender goes back.
 */
static __always_inline int mirror(struct passage *p, struct ob_link_hdr *h)
{
	struct ob_lane *l = p->l;
	__u64 position = h->position, length = h->length;
	__u64 tail = l->tail, offset = position & (ring_size - 1);
	__u32 zero = 0;
	__u8 *ring;
	void *inner;

	if (word_state(p->word) == OB_SYNCING)
		return to_engine(p, OB_R_MIRROR_TO_ENGINE);
	if (word_state(p->word) != OB_STANDBY)
		return drop(OB_R_MIRROR_STATE);
	STORE(l->peer.authority, h->authority);
	STORE(l->peer.released, h->applied);
	if (h->echo > l->next_output) /* the writer let the ones before out itself */
		l->next_output = h->echo;
	if (!length && position == tail)
		return mirrored(p, h, OB_R_MIRROR_HEARTBEAT);
	if (position + length <= tail)
		return will_answer(p, OB_ACK, 0, OB_R_MIRROR_REPEAT);
	if (position != tail)
		return will_answer(p, OB_ACK, OB_F_GAP, OB_R_MIRROR_GAP);
	if (tail + length - LOAD(l->engine.applied) > ring_size)
		return will_answer(p, OB_ACK, OB_F_FULL, OB_R_MIRROR_FULL);
	if (offset + length > ring_size)
		return will_answer(p, OB_ACK, OB_F_CROSS, OB_R_MIRROR_CROSS);
	inner = bpf_map_lookup_elem(&rings, &p->lane);
	if (!inner)
		return drop(OB_R_LINK_LANE);
	ring = bpf_map_lookup_elem(inner, &zero);
	if (!ring)
		return drop(OB_R_LINK_LANE);
	/* Again for the verifier, after the compiler has forgotten the bounds. */
	asm volatile("%0 &= 2047" : "+r"(length));
	if (!length)
		return drop(OB_R_LINK_LENGTH);
	offset &= ring_size - 1;
	if (bpf_xdp_load_bytes(p->ctx, OB_LINK_HEADERS, ring + offset, length))
		return drop(OB_R_LINK_LENGTH);
	/* The reader pairs its load of tail with this store (x86: a release). */
	STORE(l->tail, tail + length);
	return mirrored(p, h, OB_R_MIRROR_APPENDED);
}

/*
 * The standby let out what it says it did: user space, which sees the ACK
 * afterwards, leaves that alone. Half of a number is enough: no more than
 * OB_OUTPUTS_MAX wait.
 */
static __always_inline void note_chained(struct ob_lane *l, const struct ob_link_hdr *h)
{
	__u64 next = LOAD(l->next_output);
	__u32 ahead = h->successor - (__u32)next;

	if (ahead && ahead <= OB_OUTPUTS_MAX)
		__sync_val_compare_and_swap(&l->next_output, next, next + ahead);
}

/*
 * The primary's half. The order matters: the output number is taken before the
 * ACK is published, so that user space, which sees the ACK, never takes an
 * output that this frame is about to release.
 */
static __always_inline int ack(struct passage *p, struct ob_link_hdr *h)
{
	struct ob_lane *l = p->l;
	__u64 covered = h->position + h->length;
	__u64 output = h->output;
	int release = 0;

	if (word_state(p->word) != OB_ACTIVE || h->epoch != word_epoch(p->word) ||
	    h->authority != make_word(h->epoch, OB_STANDBY)) {
		if (h->ride)
			count(OB_R_RIDE_FENCED);
		return drop(OB_R_ACK_STALE);
	}
	note_chained(l, h);
	if (h->ride) {
		if (h->tail < covered)
			count(OB_R_RIDE_UNCOVERED);
		else if (__sync_val_compare_and_swap(&l->next_output, output, output + 1) != output)
			count(OB_R_RIDE_ORDER);
		else
			release = 1;
	}
	STORE(l->peer.authority, h->authority);
	/* The flags are the link program's; the engine's own ACKs, which say what it
	 * has applied and archived, come by another path and may overtake its.
	 */
	if (h->path == OB_PATH_LINK)
		STORE(l->peer.flags, h->flags);
	if (h->tail > l->peer.tail)
		STORE(l->peer.tail, h->tail);
	if (h->applied > l->peer.applied)
		STORE(l->peer.applied, h->applied);
	if (!h->ride && h->output > l->peer.archived)
		STORE(l->peer.archived, h->output);
	if (h->echo > l->peer.echo)
		STORE(l->peer.echo, h->echo);
	if (!release)
		return drop(OB_R_ACK);
	if (!leaves(p))
		return drop(OB_R_NO_DEVICE);
	p->strip = OB_LINK_HEADERS + h->length;
	count(OB_R_RIDE_RELEASED);
	return RELEASE;
}

/* A standby asks for life; the kernel speaks for itself and for its engine. */
static __always_inline int probe(struct passage *p, struct ob_link_hdr *h)
{
	p->word = probed(p->l, p->a, p->lane, p->word, h);
	return will_answer(p, word_state(p->word) == OB_FENCED ? OB_FENCED_FRAME : OB_LIFE, 0,
			   OB_R_PROBE_ANSWERED);
}

static __always_inline int fenced(struct passage *p, struct ob_link_hdr *h)
{
	enum ob_reason reason =
		h->type == OB_FORWARD ? OB_R_FORWARD_RECEIVED : OB_R_FENCED_RECEIVED;

	if (told_fenced(p->l, p->a, p->lane, p->word, h))
		return XDP_DROP;
	/* Also when ACTIVE already: orders go on arriving at the old address. */
	return to_engine(p, reason);
}

static __always_inline int dispatch(struct passage *p, struct ob_link_hdr *h)
{
	__u32 epoch = word_epoch(p->word), state = word_state(p->word);

	if (h->epoch > epoch) {
		if (state != OB_INIT && state != OB_SYNCING)
			word_swap(p->a, p->word, make_word(epoch, OB_SYNCING));
		return to_engine(p, OB_R_MIRROR_NEWER);
	}
	switch (h->type) {
	case OB_MIRROR:
		if (h->epoch < epoch)
			return will_answer(p, OB_STALE, 0, OB_R_MIRROR_STALE);
		return mirror(p, h);
	case OB_ACK:
		return ack(p, h);
	case OB_PROBE:
		return probe(p, h);
	case OB_LIFE:
		if (h->epoch == epoch)
			STORE(p->l->peer.authority, h->authority);
		return drop(OB_R_LIFE);
	case OB_STALE:
		return to_engine(p, OB_R_STALE);
	case OB_FENCED_FRAME:
	case OB_FORWARD:
		return fenced(p, h);
	}
	return drop(OB_R_LINK_TYPE);
}

/* Whole frame, sender's ring, and a counter that was not used before. */
static __always_inline enum ob_reason authenticate(struct passage *p, struct ob_link_hdr *h)
{
	struct ob_lane *l = p->l;
	__u32 path = h->path;

	if (l->cfg.flags & OB_CFG_AUTH) {
		if (nh_payload(p->ctx, p->nk, OB_LINK_HEADERS, p->bytes, &p->nh))
			return OB_R_LINK_LENGTH;
		if (frame_mac(h, p->nk, p->nh, l->cfg.rx_key) != h->mac)
			return OB_R_LINK_MAC;
	}
	if (path > OB_PATH_STEER)
		return OB_R_LINK_PATH;
	if (h->counter <= l->rx_counter[path])
		return OB_R_LINK_REPLAY;
	l->rx_counter[path] = h->counter;
	STORE(l->peer.frames, l->peer.frames + 1);
	return OB_R_NONE;
}

static __always_inline int receive(struct passage *p, struct ob_link_hdr *h)
{
	enum ob_reason reason;
	int verdict;

	/* An exchange, not a store: a promoting engine that has changed the word
	 * waits for 0 and may then read the tail.
	 */
	if (__sync_lock_test_and_set(&p->l->busy, 1))
		return drop(OB_R_LINK_BUSY);
	p->word = LOAD(p->a->word);
	reason = authenticate(p, h);
	verdict = reason ? drop(reason) : dispatch(p, h);
	if (verdict == ANSWER)
		verdict = answer(p);
	else if (verdict == RELEASE)
		verdict = release(p);
	STORE(p->l->busy, 0);
	return verdict;
}

SEC("xdp")
int ob_link(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ob_headers o = headers_at(data);
	struct passage p = { .ctx = ctx };
	__u64 bytes = end - data;
	struct ob_link_hdr *h;

	if (data + OB_ETH_IP_UDP > end || !is_datagram(&o) || o.udp->dest != link_port)
		return XDP_PASS;
	h = link_header(ctx);
	if (!h)
		return drop(OB_R_LINK_TRUNCATED);
	if (h->magic != OB_MAGIC)
		return drop(OB_R_LINK_MAGIC);
	if (h->version != OB_VERSION)
		return drop(OB_R_LINK_VERSION);
	p.lane = h->lane;
	p.l = bpf_map_lookup_elem(&lanes, &p.lane);
	p.a = bpf_map_lookup_elem(&authority, &p.lane);
	p.nk = nh_key(p.lane);
	if (!p.l || !p.a || !p.nk || !p.l->cfg.used || !p.l->cfg.peer_node)
		return drop(OB_R_LINK_LANE);
	p.bytes = h->length + h->ride;
	/* A ride is a frame: the kernel cannot release less than an Ethernet header. */
	if (p.bytes > OB_PAYLOAD_MAX || h->length % OB_NH_STEP || (h->ride && h->ride < ETH_HLEN))
		return drop(OB_R_LINK_LENGTH);
	if (bytes != OB_LINK_HEADERS + p.bytes)
		return drop(OB_R_LINK_LENGTH);
	if (o.ip->saddr != p.l->cfg.peer_link_ip || o.ip->daddr != p.l->cfg.link_ip)
		return drop(OB_R_LINK_ADDRESS);
	if (h->node != p.l->cfg.peer_node)
		return drop(OB_R_LINK_NODE);
	if (h->type == OB_HELLO) /* sets up the keys; user space authenticates it */
		return to_engine(&p, OB_R_HELLO);
	if (h->incarnation != p.l->cfg.peer_incarnation)
		return drop(OB_R_LINK_INCARNATION);
	return receive(&p, h);
}

char _license[] SEC("license") = "Dual BSD/GPL";
