/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The timer of a lane. It looks at two things that must move: the engine's
 * progress and the frames of the peer, on whichever NIC. It counts ticks without
 * movement; a tick that is itself late resets both counts, since who froze may
 * accuse nobody.
 */
#ifndef OB_WATCH_H
#define OB_WATCH_H

#include "lane.h"

static __always_inline void watch_engine(struct ob_lane *l, int late)
{
	struct ob_lane_watch *w = &l->watch;
	__u64 progress = LOAD(l->engine.progress_ns);

	if (late || progress != w->last_progress_ns)
		STORE(w->stuck_ticks, 0);
	else if (w->stuck_ticks < l->cfg.hang_ticks)
		STORE(w->stuck_ticks, w->stuck_ticks + 1);
	w->last_progress_ns = progress;
}

static __always_inline void watch_peer(struct ob_lane *l, int late, __u64 now)
{
	struct ob_lane_watch *w = &l->watch;
	__u64 frames = LOAD(l->peer.frames), second = LOAD(l->second.frames);
	int heard = frames != w->last_frames, heard_second = second != w->last_second_frames;

	if (heard)
		STORE(w->last_heard_ns, now);
	if (heard_second)
		STORE(w->last_second_heard_ns, now);
	if (heard || heard_second || late)
		STORE(w->silent_ticks, 0);
	else if (w->silent_ticks < l->cfg.silence_ticks)
		STORE(w->silent_ticks, w->silent_ticks + 1);
	w->last_frames = frames;
	w->last_second_frames = second;
}

/*
 * Silence on every path: a host is dead, or both its NICs are. Who accuses must
 * be well itself: its engine has moved since the last tick.
 */
static __always_inline void judge_silence(struct ob_lane *l, struct ob_authority *a)
{
	__u64 word = LOAD(a->word);

	if (!(l->cfg.flags & OB_CFG_SILENCE_PROMOTES) || word_state(word) != OB_STANDBY ||
	    l->watch.silent_ticks < l->cfg.silence_ticks)
		return;
	/* A program started by a syscall may not hold an XSKMAP: progress alone tells
	 * whether the engine lives.
	 */
	if (l->watch.stuck_ticks)
		count(OB_R_CANDIDATE_REFUSED);
	else
		become_candidate(l, a, word, OB_WHY_SILENT);
}

static __always_inline void watch_lane(struct ob_lane *l, struct ob_authority *a, __u64 now)
{
	__u64 tick = l->cfg.tick_ns;
	int late = l->watch.last_tick_ns && now - l->watch.last_tick_ns > tick + tick / 2;

	if (late)
		STORE(l->watch.late_ticks, l->watch.late_ticks + 1);
	l->watch.last_tick_ns = now;
	watch_engine(l, late);
	watch_peer(l, late, now);
	judge_silence(l, a);
}

static int watch_tick(void *map, __u32 *key, struct ob_timer *t)
{
	struct ob_lane *l = bpf_map_lookup_elem(&lanes, key);
	struct ob_authority *a = bpf_map_lookup_elem(&authority, key);

	if (!l || !a || !l->cfg.used || !l->cfg.tick_ns)
		return 0; /* not armed again */
	watch_lane(l, a, bpf_ktime_get_ns());
	bpf_timer_start(&t->timer, l->cfg.tick_ns, 0);
	return 0;
}

#define OB_EBUSY 16
#define OB_CLOCK_MONOTONIC 1

struct ob_timer_args {
	__u32 lane;
	__u32 stop; /* 1: cancel instead */
};

/* Arms, re-arms after a restart, or cancels the timer of a lane. */
SEC("syscall")
int ob_timer_control(struct ob_timer_args *args)
{
	__u32 lane = args->lane;
	struct ob_timer *t = bpf_map_lookup_elem(&timers, &lane);
	struct ob_lane *l = bpf_map_lookup_elem(&lanes, &lane);
	int rc;

	if (!t || !l)
		return -1;
	rc = bpf_timer_init(&t->timer, &timers, OB_CLOCK_MONOTONIC);
	if (rc && rc != -OB_EBUSY) /* EBUSY: a pinned timer of an earlier process */
		return rc;
	if (args->stop) {
		bpf_timer_cancel(&t->timer);
		return 0;
	}
	l->watch.last_tick_ns = 0;
	rc = bpf_timer_set_callback(&t->timer, watch_tick);
	if (rc)
		return rc;
	return bpf_timer_start(&t->timer, l->cfg.tick_ns, 0);
}

#endif /* OB_WATCH_H */
