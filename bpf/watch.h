/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The timer of a lane. It looks at two things that must move: the engine's
 * progress and the frames of the peer. It counts ticks without movement; a tick
 * that is itself late resets both counts, since who froze may accuse nobody.
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
	__u64 frames = LOAD(l->peer.frames);

	if (frames != w->last_frames) {
		STORE(w->silent_ticks, 0);
		STORE(w->last_heard_ns, now);
	} else if (late) {
		STORE(w->silent_ticks, 0);
	} else if (w->silent_ticks < l->cfg.silence_ticks) {
		STORE(w->silent_ticks, w->silent_ticks + 1);
	}
	w->last_frames = frames;
}

static int watch_tick(void *map, __u32 *key, struct ob_timer *t)
{
	struct ob_lane *l = bpf_map_lookup_elem(&lanes, key);
	struct ob_authority *a = bpf_map_lookup_elem(&authority, key);
	__u64 now = bpf_ktime_get_ns();
	__u64 tick;
	int late;

	if (!l || !a || !l->cfg.used || !l->cfg.tick_ns)
		return 0; /* not armed again */
	tick = l->cfg.tick_ns;
	late = l->watch.last_tick_ns && now - l->watch.last_tick_ns > tick + tick / 2;
	if (late)
		STORE(l->watch.late_ticks, l->watch.late_ticks + 1);
	l->watch.last_tick_ns = now;
	watch_engine(l, late);
	watch_peer(l, late, now);
	/* A program started by a syscall may not hold an XSKMAP: progress alone tells
	 * whether the engine lives.
	 */
	if (l->cfg.flags & OB_CFG_SILENCE_PROMOTES && word_state(LOAD(a->word)) == OB_STANDBY &&
	    l->watch.silent_ticks >= l->cfg.silence_ticks)
		become_candidate(l, a, LOAD(a->word), OB_WHY_SILENT);
	bpf_timer_start(&t->timer, tick, 0);
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
