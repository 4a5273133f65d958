//go:build ignore
/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * A bad cable, for drills: what arrives on one NIC of a place in the middle of
 * a cable leaves by the other one, or not, twice, later, or with a bit flipped.
 * In the middle, because frames that XDP sends or redirects pass no qdisc: only
 * a program that every frame arrives at sees them all.
 *
 * One instance serves one direction. XDP cannot keep a frame, so one that is
 * held back is copied into a slot and dropped. To let it go later a passing
 * frame is marked and broadcast three times: the egress program passes the
 * first clone, turns the second into the held frame, and drops the original,
 * which always goes last and may have no room to grow. A device's queue knows
 * one egress program at a time (bq_enqueue in kernel/bpf/devmap.c), so it is
 * the same everywhere and tells the clones apart by counting.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "onebeat.h"

#define OB_LINK_HEADERS (OB_ETH_IP_UDP + sizeof(struct ob_link_hdr))

#define OB_FAULT_HELD_MAX 2047 /* bytes of a frame that can be held; a mask */
#define OB_FAULT_STUCK_NS 1000000 /* a release that took longer got lost */

/* Kinds of frames: bit n is link frame type n (ob_type). */
#define OB_FAULT_DATAGRAM (1U << 0) /* any other UDP datagram */
#define OB_FAULT_ARP (1U << 30)
#define OB_FAULT_OTHER (1U << 31)

#define OB_FAULT_SCALE 1000000 /* rates are in parts of it */

/* Written by user space. */
struct ob_fault {
	__u32 kinds; /* frames that the rule concerns; others pass */
	__u32 loss;
	__u32 corrupt;
	__u32 twice;
	__u32 hold;
	__u32 hold_frames; /* a held frame leaves behind this many others */
	__u64 seed; /* of the random numbers; 0: go on with the last ones */
};

enum ob_fault_slot {
	OB_SLOT_EMPTY = 0,
	OB_SLOT_HELD = 1,
	OB_SLOT_LEAVING = 2, /* until its clone was turned into it */
};

/* Written by the programs; one direction has one NAPI instance at a time. */
struct ob_fault_state {
	__u64 random;
	__u64 slot; /* ob_fault_slot */
	__u64 length; /* of the frame in it */
	__u64 behind; /* frames it still waits for */
	__u64 since_ns; /* when its state changed */
	__u64 release; /* number of the last one, the mark of its clones */
	__u64 leaving; /* the release whose clones are leaving now */
	__u64 clones; /* of it that have left */
	__u64 passed, lost, corrupted, doubled, held, released, failed;
};

struct ob_held {
	__u8 bytes[OB_FAULT_HELD_MAX + 1];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ob_fault);
} fault SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ob_fault_state);
} fault_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ob_held);
} fault_held SEC(".maps");

/* The same NIC each time: once, twice, three times. */
struct fault_exit {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} fault_once SEC(".maps"), fault_twice SEC(".maps"), fault_release SEC(".maps");

/* xorshift64* (Vigna 2014): the Go test predicts every frame's fate with it. */
static __always_inline __u32 draw(struct ob_fault_state *s)
{
	__u64 x = s->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	s->random = x;
	return (x * 2685821657736338717ULL) >> 32;
}

static __always_inline int happens(__u32 random, __u32 rate)
{
	return ((__u64)random * OB_FAULT_SCALE) >> 32 < rate;
}

/* Before anything else: the verifier loses sight of the pointers' kind when
 * they are spilled in halves.
 */
static __always_inline __u64 length_of(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 length = end - data;

	asm volatile("" : "+r"(length));
	return length;
}

static __always_inline __u32 kind_of(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct ob_link_hdr *h = data + OB_ETH_IP_UDP;

	if (data + OB_ETH_IP_UDP > end)
		return OB_FAULT_OTHER;
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		return OB_FAULT_ARP;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP)
		return OB_FAULT_OTHER;
	if ((void *)(h + 1) > end || h->magic != OB_MAGIC || !h->type || h->type >= 30)
		return OB_FAULT_DATAGRAM;
	return 1U << h->type;
}

/* Flips one bit: of the headers or of what they carry, with equal chance. */
static __always_inline int flip(struct xdp_md *ctx, struct ob_fault_state *s, __u32 kind,
				__u32 length)
{
	__u32 headers = OB_ETH_IP_UDP;
	__u32 where = draw(s), which = draw(s), from = 0, size;
	__u8 byte;

	if (kind != OB_FAULT_DATAGRAM && kind < OB_FAULT_ARP)
		headers = OB_LINK_HEADERS;
	size = length < headers ? length : headers;
	if (where & 1 && length > headers) {
		from = headers;
		size = length - headers;
	}
	from += ((__u64)which * size) >> 32;
	if (bpf_xdp_load_bytes(ctx, from, &byte, 1))
		return -1;
	byte ^= 1 << (where >> 1 & 7);
	return bpf_xdp_store_bytes(ctx, from, &byte, 1);
}

/* Keeps the frame for later; false if the slot is taken. */
static __always_inline int hold(struct xdp_md *ctx, struct ob_fault_state *s, __u32 frames,
				__u64 length)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 zero = 0;
	struct ob_held *held = bpf_map_lookup_elem(&fault_held, &zero);

	if (s->slot == OB_SLOT_LEAVING && now - s->since_ns > OB_FAULT_STUCK_NS) {
		s->failed++;
		s->slot = OB_SLOT_EMPTY;
	}
	if (!held || s->slot != OB_SLOT_EMPTY || !length || length > OB_FAULT_HELD_MAX)
		return 0;
	s->length = length;
	asm volatile("%0 &= 2047" : "+r"(length));
	if (!length || bpf_xdp_load_bytes(ctx, 0, held->bytes, length))
		return 0;
	s->behind = frames;
	s->since_ns = now;
	s->slot = OB_SLOT_HELD;
	return 1;
}

/* Another frame passes: is the held one due behind it? */
static __always_inline int due(struct ob_fault_state *s)
{
	if (s->slot != OB_SLOT_HELD)
		return 0;
	if (s->behind > 1) {
		s->behind--;
		return 0;
	}
	s->slot = OB_SLOT_LEAVING;
	s->since_ns = bpf_ktime_get_ns();
	return 1;
}

/* Marks the frame whose clones let the held one go. */
static __always_inline int mark(struct xdp_md *ctx, struct ob_fault_state *s)
{
	__u32 *m;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*m)))
		return -1;
	m = (void *)(long)ctx->data_meta;
	if ((void *)(m + 1) > (void *)(long)ctx->data)
		return -1;
	*m = ++s->release;
	return 0;
}

SEC("xdp")
int ob_fault(struct xdp_md *ctx)
{
	__u64 length = length_of(ctx);
	__u32 zero = 0, kind = kind_of(ctx);
	struct ob_fault *f = bpf_map_lookup_elem(&fault, &zero);
	struct ob_fault_state *s = bpf_map_lookup_elem(&fault_state, &zero);
	int twice = 0;

	if (!f || !s)
		return XDP_ABORTED;
	if (f->seed) {
		s->random = f->seed;
		f->seed = 0;
	}
	if (f->kinds & kind) {
		/* As many draws for every frame, whatever becomes of it. */
		__u32 loss = draw(s), corrupt = draw(s), again = draw(s), late = draw(s);

		if (happens(loss, f->loss)) {
			s->lost++;
			return XDP_DROP;
		}
		if (happens(corrupt, f->corrupt) && !flip(ctx, s, kind, length))
			s->corrupted++;
		if (happens(late, f->hold) && hold(ctx, s, f->hold_frames, length)) {
			s->held++;
			return XDP_DROP;
		}
		twice = happens(again, f->twice);
	}
	s->passed++;
	if (due(s) && !mark(ctx, s))
		return bpf_redirect_map(&fault_release, 0, BPF_F_BROADCAST);
	if (twice) {
		s->doubled++;
		return bpf_redirect_map(&fault_twice, 0, BPF_F_BROADCAST);
	}
	return bpf_redirect_map(&fault_once, 0, 0);
}

/* Turns the clone into the held frame. */
static __always_inline int become(struct xdp_md *ctx, struct ob_fault_state *s, int now)
{
	__u32 zero = 0;
	struct ob_held *held = bpf_map_lookup_elem(&fault_held, &zero);
	__u64 length = s->length;

	asm volatile("%0 &= 2047" : "+r"(length));
	if (s->slot != OB_SLOT_LEAVING)
		return XDP_DROP;
	s->slot = OB_SLOT_EMPTY;
	if (!held || !length || bpf_xdp_adjust_tail(ctx, (int)length - now) ||
	    bpf_xdp_store_bytes(ctx, 0, held->bytes, length)) {
		s->failed++;
		return XDP_DROP;
	}
	s->released++;
	return XDP_PASS;
}

SEC("xdp/devmap")
int ob_fault_exit(struct xdp_md *ctx)
{
	__u32 *m = (void *)(long)ctx->data_meta;
	int length = length_of(ctx);
	__u32 zero = 0, release;
	struct ob_fault_state *s = bpf_map_lookup_elem(&fault_state, &zero);

	if (!s || (void *)(m + 1) > (void *)(long)ctx->data)
		return XDP_PASS;
	release = *m;
	/* Nobody else needs to know. */
	bpf_xdp_adjust_meta(ctx, sizeof(*m));
	if (s->leaving != release) {
		s->leaving = release;
		s->clones = 0;
	}
	switch (s->clones++) {
	case 0:
		return XDP_PASS;
	case 1:
		return become(ctx, s, length);
	default:
		return XDP_DROP;
	}
}

char _license[] SEC("license") = "Dual BSD/GPL";
