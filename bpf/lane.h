/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* What both programs and the timer ask of a lane: state, liveness, fencing. */
#ifndef OB_LANE_H
#define OB_LANE_H

#include "maps.h"

#define LOAD(x) (*(volatile typeof(x) *)&(x))
#define STORE(x, v) (*(volatile typeof(x) *)&(x) = (v))

static __always_inline __u32 word_epoch(__u64 word)
{
	return word >> 32;
}

static __always_inline __u32 word_state(__u64 word)
{
	return (__u32)word;
}

static __always_inline __u64 make_word(__u32 epoch, enum ob_state state)
{
	return (__u64)epoch << 32 | state;
}

static __always_inline int word_swap(struct ob_authority *a, __u64 from, __u64 to)
{
	return __sync_val_compare_and_swap(&a->word, from, to) == from;
}

/* The engine's thread has ended: nothing can come from it any more. */
static __always_inline int engine_dead(struct ob_lane *l)
{
	return LOAD(l->watch.dead_ns) != 0;
}

/*
 * The engine makes no progress: counted in on-time ticks by the timer, so one
 * look at a machine that froze accuses nobody, and not moved since the last of
 * them: an engine that has just woken up is not stuck until the next tick.
 */
static __always_inline int engine_stuck(struct ob_lane *l)
{
	return engine_dead(l) || (LOAD(l->watch.stuck_ticks) >= l->cfg.hang_ticks &&
				  LOAD(l->engine.progress_ns) == LOAD(l->watch.last_progress_ns));
}

/* The kernel empties the slot when it tears the socket down. */
static __always_inline int engine_gone(struct ob_lane *l, __u32 lane)
{
	__u32 slot = lane * OB_QUEUES + l->cfg.order_queue;

	return !bpf_map_lookup_elem(&xsks_order, &slot);
}

/* The peer could take over now: it said STANDBY in our epoch, and was heard
 * within T.
 */
static __always_inline int successor_ready(struct ob_lane *l, __u32 epoch)
{
	return l->cfg.peer_node && LOAD(l->peer.authority) == make_word(epoch, OB_STANDBY) &&
	       LOAD(l->watch.silent_ticks) < l->cfg.silence_ticks;
}

/*
 * Takes the lane from this node's engine, for good in this epoch. Only toward
 * a successor that is ready: else it is better to wait for the engine.
 */
static __always_inline int fence(struct ob_lane *l, struct ob_authority *a, __u64 word,
				 enum ob_why why)
{
	__u64 fenced = make_word(word_epoch(word), OB_FENCED);

	if (word_state(word) != OB_ACTIVE || !successor_ready(l, word_epoch(word)) ||
	    !word_swap(a, word, fenced))
		return 0;
	STORE(l->watch.fenced_ns, bpf_ktime_get_ns());
	STORE(l->watch.fenced_word, word);
	STORE(l->watch.candidate_why, why);
	return 1;
}

/*
 * STANDBY to CANDIDATE: from this store on order frames wait in this node's
 * socket and mirror frames are no longer ACKed. Its own engine is checked first:
 * by its progress, and by the caller where it may look at the socket.
 */
static __always_inline int become_candidate(struct ob_lane *l, struct ob_authority *a, __u64 word,
					    enum ob_why why)
{
	if (word_state(word) == OB_STANDBY && !engine_stuck(l)) {
		/* Before the swap: the engine asks why as soon as it sees the word. */
		STORE(l->watch.candidate_ns, bpf_ktime_get_ns());
		STORE(l->watch.candidate_why, why);
		if (word_swap(a, word, make_word(word_epoch(word), OB_CANDIDATE))) {
			count(OB_R_CANDIDATE);
			return 1;
		}
	}
	count(OB_R_CANDIDATE_REFUSED);
	return 0;
}

#endif /* OB_LANE_H */
