/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Frame authentication, hash then PRF as UMAC does (RFC 4418): the frame is
 * compressed by NH, a sum of 32x32 multiplications, and SipHash-2-4 (Aumasson,
 * Bernstein 2012) over the sums and the frame's counter makes that unforgeable
 * without the key of the direction.
 *
 *	sum0 = NH(header) + NH(payload)
 *	sum1 = NH(header), its key shifted by two words (RFC 4418's Toeplitz)
 *	mac  = SipHash-2-4(key, counter, sum0, sum1)
 *
 * Another header passes with a chance of 2^-64, another payload 2^-32. SipHash
 * over the whole header costs BPF, which has no rotate, 72 ns instead of 42.
 */
#ifndef OB_AUTH_H
#define OB_AUTH_H

#include "maps.h"

#define OB_NH_STEPS (OB_PAYLOAD_MAX / OB_NH_STEP)

/* The barrier keeps the compiler from loading all words first: there are ten
 * registers, and it would park them on the stack.
 */
#define NH_PAIR(m, i)                                                                      \
	do {                                                                               \
		sum += (__u64)(__u32)((m)[i] + k[i]) * (__u32)((m)[(i) + 1] + k[(i) + 1]); \
		asm volatile("" : "+r"(sum));                                              \
	} while (0)

static __always_inline struct ob_nh_key *nh_key(__u32 lane)
{
	return bpf_map_lookup_elem(&nh_keys, &lane);
}

/*
 * Hashes the frame's bytes from offset on: whole steps where they are, without
 * a copy, the last one zero padded. -1: they cannot be read.
 */
static __always_inline int nh_payload(struct xdp_md *ctx, const struct ob_nh_key *key, __u32 offset,
				      __u64 bytes, __u64 *nh)
{
	void *end = (void *)(long)ctx->data_end;
	void *at = (void *)(long)ctx->data + offset;
	__u32 last[OB_NH_STEP / 4] = {};
	const __u32 *k = key->word;
	__u64 sum = 0;
	__u64 rest;

	/* The frame ends with the payload: the caller compared their lengths. */
	for (__u32 i = 0; i < OB_NH_STEPS; i++) {
		const __u32 *m = at;

		if (at + OB_NH_STEP > end)
			break;
		NH_PAIR(m, 0);
		NH_PAIR(m, 2);
		NH_PAIR(m, 4);
		NH_PAIR(m, 6);
		at += OB_NH_STEP;
		k += OB_NH_STEP / 4;
	}
	rest = bytes % OB_NH_STEP;
	if (rest) {
		offset += bytes - rest;
		/* Bounds for the verifier, after the compiler has forgotten them. */
		bytes /= OB_NH_STEP;
		asm volatile("%0 &= 31" : "+r"(rest));
		asm volatile("%0 &= 63" : "+r"(bytes));
		if (!rest || bytes >= OB_NH_STEPS || bpf_xdp_load_bytes(ctx, offset, last, rest))
			return -1;
		k = &key->word[bytes * (OB_NH_STEP / 4)];
		NH_PAIR(last, 0);
		NH_PAIR(last, 2);
		NH_PAIR(last, 4);
		NH_PAIR(last, 6);
	}
	*nh = sum;
	return 0;
}

/* As with NH_PAIR: half a round at a time fits in registers. */
#define IN_REGISTERS asm volatile("" : "+r"(v0), "+r"(v1), "+r"(v2), "+r"(v3))

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

#define SIPROUND                   \
	do {                       \
		v0 += v1;          \
		v2 += v3;          \
		v1 = ROTL(v1, 13); \
		v3 = ROTL(v3, 16); \
		v1 ^= v0;          \
		v3 ^= v2;          \
		v0 = ROTL(v0, 32); \
		IN_REGISTERS;      \
		v2 += v1;          \
		v0 += v3;          \
		v1 = ROTL(v1, 17); \
		v3 = ROTL(v3, 21); \
		v1 ^= v2;          \
		v3 ^= v0;          \
		v2 = ROTL(v2, 32); \
		IN_REGISTERS;      \
	} while (0)

#define SIPWORD(m)              \
	do {                    \
		__u64 _m = (m); \
		v3 ^= _m;       \
		SIPROUND;       \
		SIPROUND;       \
		v0 ^= _m;       \
	} while (0)

#define OB_MAC_WORDS 22 /* header bytes before mac, in u32 */

_Static_assert(__builtin_offsetof(struct ob_link_hdr, mac) == OB_MAC_WORDS * 4,
	       "the MAC covers the header up to itself");
_Static_assert(sizeof(struct ob_link_hdr) == OB_MAC_WORDS * 4 + 8, "no padding behind the MAC");
_Static_assert(OB_NH_HEADER == OB_MAC_WORDS + 2, "key words for the header and its second sum");

/* nh is that of the payload. */
static __always_inline __u64 frame_mac(const struct ob_link_hdr *h, const struct ob_nh_key *nk,
				       __u64 nh, const __u64 *key)
{
	const __u32 *m = (const __u32 *)h;
	__u64 k0 = key[0], k1 = key[1];
	__u64 sum0 = nh, sum1 = 0;
	__u64 v0, v1, v2, v3;

#pragma unroll
	for (int i = 0; i < OB_MAC_WORDS; i += 2) {
		const __u32 *k = &nk->header[i];

		asm volatile("" : "+r"(sum0), "+r"(sum1));
		sum0 += (__u64)(__u32)(m[i] + k[0]) * (__u32)(m[i + 1] + k[1]);
		sum1 += (__u64)(__u32)(m[i] + k[2]) * (__u32)(m[i + 1] + k[3]);
	}
	v0 = k0 ^ 0x736f6d6570736575ULL;
	v1 = k1 ^ 0x646f72616e646f6dULL;
	v2 = k0 ^ 0x6c7967656e657261ULL;
	v3 = k1 ^ 0x7465646279746573ULL;
	SIPWORD(h->counter);
	SIPWORD(sum0);
	SIPWORD(sum1);
	SIPWORD(24ULL << 56); /* their length */
	v2 ^= 0xff;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

#endif /* OB_AUTH_H */
