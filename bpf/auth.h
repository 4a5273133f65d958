/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * Frame authentication: SipHash-2-4 (Aumasson, Bernstein 2012) over the header
 * and the NH hash (RFC 4418, section 5.2.2: one 64-bit iteration) of the
 * payload. NH is a sum of 32x32 multiplications, so a whole frame costs tens of
 * nanoseconds; SipHash makes it unforgeable without the key.
 */
#ifndef OB_AUTH_H
#define OB_AUTH_H

#include "maps.h"

#define OB_NH_STEPS (OB_PAYLOAD_MAX / OB_NH_STEP)

#define NH_PAIR(i) \
	sum += (__u64)(__u32)(m[i] + k[i]) * (__u32)(m[(i) + 1] + k[(i) + 1])

static __always_inline __u64 nh_hash(const struct ob_payload *p, const struct ob_nh_key *key,
				     __u32 steps)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < OB_NH_STEPS; i++) {
		const __u32 *m = &p->word[i * (OB_NH_STEP / 4)];
		const __u32 *k = &key->word[i * (OB_NH_STEP / 4)];

		if (i >= steps)
			break;
		NH_PAIR(0);
		NH_PAIR(2);
		NH_PAIR(4);
		NH_PAIR(6);
	}
	return sum;
}

/*
 * Copies the payload of the frame (bytes from offset on) and hashes it. The
 * copy is what makes reads of any length cheap to verify. -1: it cannot be read.
 */
static __always_inline int nh_frame(struct xdp_md *ctx, __u32 lane, __u32 offset, __u64 bytes,
				    __u64 *nh)
{
	__u32 zero = 0;
	struct ob_payload *p;
	struct ob_nh_key *key;

	*nh = 0;
	if (!bytes)
		return 0;
	p = bpf_map_lookup_elem(&scratch, &zero);
	key = bpf_map_lookup_elem(&nh_keys, &lane);
	if (!p || !key)
		return -1;
	/* Bounds for the verifier; the length was checked against OB_PAYLOAD_MAX. */
	asm volatile("%0 &= 2047" : "+r"(bytes));
	if (bytes == 0 || bytes > OB_PAYLOAD_MAX)
		return -1;
	/* The last step reads up to OB_NH_STEP - 1 bytes behind the payload. */
	__builtin_memset((__u8 *)p + bytes, 0, OB_NH_STEP);
	if (bpf_xdp_load_bytes(ctx, offset, p, bytes))
		return -1;
	*nh = nh_hash(p, key, (bytes + OB_NH_STEP - 1) / OB_NH_STEP);
	return 0;
}

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

#define SIPROUND                       \
	do {                           \
		v0 += v1;              \
		v2 += v3;              \
		v1 = ROTL(v1, 13);     \
		v3 = ROTL(v3, 16);     \
		v1 ^= v0;              \
		v3 ^= v2;              \
		v0 = ROTL(v0, 32);     \
		v2 += v1;              \
		v0 += v3;              \
		v1 = ROTL(v1, 17);     \
		v3 = ROTL(v3, 21);     \
		v1 ^= v2;              \
		v3 ^= v0;              \
		v2 = ROTL(v2, 32);     \
	} while (0)

#define SIPWORD(m)                \
	do {                      \
		__u64 _m = (m);   \
		v3 ^= _m;         \
		SIPROUND;         \
		SIPROUND;         \
		v0 ^= _m;         \
	} while (0)

#define OB_MAC_WORDS 11 /* header bytes before mac, in u64 */

_Static_assert(__builtin_offsetof(struct ob_link_hdr, mac) == OB_MAC_WORDS * 8,
	       "the MAC covers the header up to itself");
_Static_assert(sizeof(struct ob_link_hdr) == OB_MAC_WORDS * 8 + 8, "no padding behind the MAC");

static __always_inline __u64 frame_mac(const struct ob_link_hdr *h, __u64 nh, const __u64 *key)
{
	const __u64 *w = (const __u64 *)h;
	__u64 k0 = key[0], k1 = key[1];
	__u64 v0 = k0 ^ 0x736f6d6570736575ULL;
	__u64 v1 = k1 ^ 0x646f72616e646f6dULL;
	__u64 v2 = k0 ^ 0x6c7967656e657261ULL;
	__u64 v3 = k1 ^ 0x7465646279746573ULL;

	for (int i = 0; i < OB_MAC_WORDS; i++)
		SIPWORD(w[i]);
	SIPWORD(nh);
	SIPWORD((__u64)((OB_MAC_WORDS + 1) * 8) << 56);
	v2 ^= 0xff;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

#endif /* OB_AUTH_H */
