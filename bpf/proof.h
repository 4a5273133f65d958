/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What a PROBE and what FENCED may change, whichever NIC they came by. */
#ifndef OB_PROOF_H
#define OB_PROOF_H

#include "lane.h"

/* A standby asks for life: fences an engine that is dead or hung, and returns
 * the authority to answer with.
 */
static __always_inline __u64 probed(struct ob_lane *l, struct ob_authority *a, __u32 lane,
				    __u64 word, const struct ob_link_hdr *h)
{
	enum ob_why why = engine_dead(l) ? OB_WHY_EXITED : OB_WHY_STUCK;
	int stuck = engine_stuck(l);

	STORE(l->peer.authority, h->authority);
	if (word_state(word) != OB_ACTIVE || !(stuck || engine_gone(l, lane)))
		return word;
	if (!stuck)
		why = OB_WHY_SLOT_EMPTY;
	if (fence(l, a, word, why))
		count(OB_R_FENCED_BY_PROBE);
	return LOAD(a->word);
}

/*
 * FENCED and FORWARD: the writer's kernel says its engine is through. Returns
 * OB_R_NONE if it stands; else why not, counted.
 */
static __always_inline enum ob_reason told_fenced(struct ob_lane *l, struct ob_authority *a,
						  __u32 lane, __u64 word,
						  const struct ob_link_hdr *h)
{
	enum ob_reason reason = OB_R_NONE;

	if (h->successor != l->cfg.node) {
		reason = OB_R_LINK_NODE;
	} else if (h->authority != make_word(h->epoch, OB_FENCED)) {
		reason = OB_R_LINK_TYPE;
	} else if (word_state(word) == OB_STANDBY && h->epoch == word_epoch(word)) {
		STORE(l->peer.authority, h->authority);
		STORE(l->peer.released, h->applied);
		if (engine_gone(l, lane))
			reason = OB_R_CANDIDATE_REFUSED;
		else if (!become_candidate(l, a, word, OB_WHY_FENCED))
			return OB_R_CANDIDATE_REFUSED; /* counted there */
	}
	if (reason)
		count(reason);
	return reason;
}

#endif /* OB_PROOF_H */
