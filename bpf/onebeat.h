/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * The contract between the kernel programs and user space: sizes, offsets and
 * numbers are defined here and nowhere else. bpf2go turns the structs into Go;
 * bpf/layout_test.go compares the constants.
 *
 * All integers are little-endian, addresses are as on the wire (network order).
 */
#ifndef ONEBEAT_H
#define ONEBEAT_H

#define OB_LANES 16 /* lanes per node */
#define OB_QUEUES 64 /* rx queues per NIC; XSKMAP slot = lane * OB_QUEUES + queue */
#define OB_TCP_PORTS 4 /* of a lane address that the kernel's stack serves */
#define OB_PATHS 5 /* counters per direction, see ob_path */

/* --- the authority word: epoch << 32 | state --- */
enum ob_state {
	OB_INIT = 0,
	OB_SYNCING = 1,
	OB_STANDBY = 2,
	OB_CANDIDATE = 3,
	OB_ACTIVE = 4,
	OB_FENCED = 5,
};

/* --- link frames --- */
#define OB_MAGIC 0x31544231U /* "1BT1" */
#define OB_VERSION 1
#define OB_ETH_IP_UDP 42 /* bytes before the link header: Ethernet, IPv4 without options, UDP */
#define OB_PAYLOAD_MAX 1536 /* records and ride together; multiple of OB_NH_STEP */
#define OB_NH_STEP 32 /* bytes hashed per round; payload is zero padded to it */

enum ob_type {
	OB_MIRROR = 1, /* records, at most one ride; without records a heartbeat */
	OB_ACK = 2, /* a MIRROR bounced back, with the receiver's view */
	OB_STALE = 3, /* "your epoch is old": proves nothing */
	OB_FENCED_FRAME = 4, /* the writer's own kernel: it cannot release in this epoch again */
	OB_FORWARD = 5, /* FENCED, with an order frame the peer could not serve */
	OB_PROBE = 6, /* a standby asks for life */
	OB_LIFE = 7, /* the kernel's answer to PROBE */
	OB_HELLO = 8, /* user space to user space: incarnations, keys, catch-up */
};

/*
 * One counter per sending path, so that no two senders share one. A NIC takes
 * its own paths only: what was recorded on one is not new on the other.
 */
enum ob_path {
	OB_PATH_ENGINE = 0, /* user space */
	OB_PATH_LINK = 1, /* the link program's answers */
	OB_PATH_STEER = 2, /* the steering program's FORWARDs; the last on the link NIC */
	OB_PATH_ENGINE_ORDER = 3, /* user space, by the order NIC; the first there */
	OB_PATH_STEER_ORDER = 4, /* the steering program's answers, by the order NIC */
};

/* Flags of a link header. */
#define OB_F_FULL 1 /* ACK: no room before the reader */
#define OB_F_GAP 2 /* ACK: position was beyond the tail */
#define OB_F_CROSS 4 /* ACK: the records would cross the ring's end */
/* MIRROR: let the ride out there instead of bouncing it. ACK: that can be asked for. */
#define OB_F_CHAIN 8

/*
 * Follows the UDP header. 96 bytes; the MAC covers everything from here to the
 * frame's end, see auth.h.
 */
struct ob_link_hdr {
	__u32 magic;
	__u8 version;
	__u8 type; /* ob_type */
	__u8 lane;
	__u8 node; /* the sender's node number */
	__u32 epoch; /* the sender's epoch */
	__u16 length; /* bytes of whole records behind the header */
	__u16 ride; /* bytes of one finished frame behind the records */
	__u8 path; /* ob_path */
	__u8 flags;
	__u16 reserved16;
	/* FENCED, FORWARD: node number it speaks to; ACK: the receiver's next output, low half */
	__u32 successor;
	__u64 position; /* of the first record byte; ACK: as in the MIRROR it answers */
	__u64 tail; /* the sender's tail */
	__u64 applied; /* ACK: applied; MIRROR, FENCED, FORWARD: released */
	__u64 authority; /* the sender's authority word: its state */
	__u64 incarnation; /* the sender's ring */
	__u64 output; /* lane output number of the ride; ACK without one: archived, or 0 */
	__u64 echo; /* ACK, LIFE: the counter of the frame it answers; MIRROR: next output */
	__u64 counter; /* rises by path; a frame that is not above the last is refused */
	__u64 mac;
};

#define OB_OUTPUTS_MAX 1024 /* outputs of a lane that wait for their release */

/* --- records in the ring --- */
/* Committed by a release-store of length; never crosses the ring's end. */
struct ob_record_hdr {
	__u32 length; /* header and payload, before padding to 32; 0: not committed */
	__u16 type;
	__u16 flags;
	__u32 epoch;
	__u32 crc32c; /* over the 32 header bytes with crc32c = 0, and the payload */
	__u64 position;
	__u64 time_ns; /* lane time */
};

/* --- the lane table --- */
#define OB_CFG_AUTH 1 /* frames are authenticated */
#define OB_CFG_SILENCE_PROMOTES 2 /* arbitration: silence on all links promotes */
/* As a standby this node lets rides out by its own order NIC. */
#define OB_CFG_CHAIN OB_F_CHAIN

#define OB_LINE __attribute__((aligned(64)))

/* Written by cold user space before the lane leaves INIT or SYNCING; read by all. */
struct ob_lane_config {
	__u32 used; /* 0: no such lane on this node */
	__u32 flags;
	__u32 node;
	__u32 peer_node; /* 0: no peer */
	__u64 incarnation;
	__u64 peer_incarnation;
	__u32 lane_ip; /* network order; 0: lane_ip6 */
	__u32 link_ip;
	__u32 peer_link_ip;
	__u16 link_port; /* network order, same on both sides */
	__u16 link_frame_max; /* bytes of the longest Ethernet frame the link NIC takes */
	__u8 order_mac[6];
	__u8 link_mac[6];
	__u8 peer_link_mac[6];
	__u16 order_queue;
	__u16 link_queue;
	__u8 peer_order_mac[6]; /* as the peer told it; zero: not yet, or one path only */
	__u32 order_ip; /* this node's own on the order NIC; 0: one path only */
	__u64 heartbeat_ns; /* T */
	__u64 tick_ns; /* period of the timer */
	__u32 hang_ticks; /* on-time ticks without progress that mean: hung */
	__u32 silence_ticks; /* on-time ticks without a frame that mean: silent */
	__u64 tx_key[2]; /* SipHash key for what this node sends */
	__u64 rx_key[2]; /* and for what its peer sends */
	__u32 peer_order_ip;
	__u8 lane_ip6[16]; /* network order; zero: lane_ip */
};

/* Written by the engine's thread only. */
struct ob_lane_engine {
	__u64 progress_ns; /* CLOCK_MONOTONIC of the last published progress */
	__u64 applied; /* ring position up to which the reader has applied */
	__u64 released; /* position up to which outputs were let go */
	__u64 tx_counter; /* OB_PATH_ENGINE */
	__u64 records; /* appended or applied by this engine */
	__u64 outputs; /* released by user space */
	__u64 tx_order_counter; /* OB_PATH_ENGINE_ORDER */
};

/* Written by the link program, under busy. */
struct ob_lane_peer {
	__u64 frames; /* authenticated frames of the peer; the timer looks for its change */
	__u64 authority; /* the peer's word */
	__u64 tail; /* ACKed tail */
	__u64 applied; /* ACKed applied */
	__u64 echo; /* highest OB_PATH_ENGINE counter that came back */
	__u64 flags; /* of the last ACK */
	__u64 released; /* from FENCED, FORWARD */
	__u64 archived; /* ACKed by the peer's engine */
};

/* Written by the steering program for the peer's frames on the order NIC. */
struct ob_lane_second {
	__u64 busy; /* 1 while it is inside for one of them */
	__u64 frames; /* authenticated ones; the timer looks for its change */
	__u64 counter; /* OB_PATH_STEER_ORDER */
};

/* Written by the timer and by fencing, rarely. */
struct ob_lane_watch {
	__u64 last_tick_ns;
	__u64 last_progress_ns;
	__u64 last_frames;
	/* last tick at which the peer had been heard on the link NIC since the one before */
	__u64 last_heard_ns;
	__u32 stuck_ticks;
	__u32 silent_ticks;
	__u64 late_ticks; /* ticks that were themselves late */
	__u64 fenced_ns; /* when this kernel fenced its engine */
	__u64 fenced_word; /* the word it took away */
	__u64 candidate_ns; /* when this kernel became CANDIDATE */
	__u64 candidate_why; /* ob_why */
	__u64 dead_ns; /* when the engine's thread ended; 0: it lives */
	__u64 last_second_frames;
	__u64 last_second_heard_ns; /* as last_heard_ns, on the order NIC */
};

enum ob_why {
	OB_WHY_NONE = 0,
	OB_WHY_SLOT_EMPTY = 1, /* the engine's socket is gone */
	OB_WHY_STUCK = 2, /* no progress for hang_ticks */
	OB_WHY_SILENT = 3, /* no frame for silence_ticks */
	OB_WHY_FENCED = 4, /* FENCED or FORWARD received */
	OB_WHY_HANDOVER = 5, /* the engine gave up its place */
	OB_WHY_EXITED = 6, /* the engine's thread ended */
};

/* Written by the one who writes the ring in user space: readers in other
 * processes learn that the log lost its end. count is odd while bytes are being
 * taken off.
 */
struct ob_lane_cuts {
	__u64 count;
	__u64 positions[7]; /* of the last cuts, by number */
};

/* Written by the engine's thread when its part changes: what of the log every
 * member of the in-sync set holds, so that no failover cuts it.
 */
struct ob_lane_commit {
	__u64 rule; /* enum ob_commit, and behind it the number of changes */
	__u64 position; /* at least up to here */
};

enum ob_commit {
	OB_COMMIT_POSITION = 0, /* up to position */
	OB_COMMIT_TAIL = 1, /* up to the tail: alone, or STANDBY */
	OB_COMMIT_PEER = 2, /* up to what the peer ACKed */
};

/* Written by whoever archives the ring. */
struct ob_lane_archive {
	__u64 position; /* up to which the archive holds this log; 0: not known */
	__u64 cuts; /* how many of the log's cuts it has followed */
};

struct ob_lane {
	struct ob_lane_config cfg OB_LINE;
	struct ob_lane_engine engine OB_LINE;
	/* the kernel's in STANDBY, user space's in every other state */
	__u64 tail OB_LINE;
	/* 1 while the link program is inside for this lane */
	__u64 busy OB_LINE;
	struct ob_lane_peer peer OB_LINE;
	/* Next output to be released; advanced by compare-and-swap, by kernel or engine. In
	 * STANDBY the link program's: of the writer's outputs, counted anew in each epoch.
	 */
	__u64 next_output OB_LINE;
	/* link program: its own counter and the last seen of the peer's paths */
	__u64 link_counter OB_LINE;
	__u64 rx_counter[OB_PATHS];
	__u64 steer_counter OB_LINE;
	struct ob_lane_second second OB_LINE;
	struct ob_lane_watch watch OB_LINE;
	struct ob_lane_cuts cuts OB_LINE;
	struct ob_lane_commit commit OB_LINE;
	struct ob_lane_archive archive OB_LINE;
} OB_LINE;

/* NH key (UMAC's NH, RFC 4418 section 5.2.2): a 32-bit word for each word of the
 * payload, and for each of the header's before its MAC and two more.
 */
#define OB_NH_HEADER 24

struct ob_nh_key {
	__u32 word[OB_PAYLOAD_MAX / 4];
	__u32 header[OB_NH_HEADER];
};

/* --- counted reasons, one u64 per CPU each --- */
enum ob_reason {
	OB_R_NONE = 0,
	/* steer */
	OB_R_ORDER_TO_ENGINE, /* order frame handed to the engine */
	OB_R_ORDER_WAITS, /* handed over while CANDIDATE */
	OB_R_ORDER_FORWARDED,
	OB_R_ORDER_NOT_ACTIVE, /* dropped: this node does not serve the lane */
	OB_R_ORDER_NO_ENGINE, /* dropped: engine dead and no successor */
	OB_R_ORDER_TOO_LONG, /* cannot be forwarded within the link's MTU */
	OB_R_ORDER_EXTENSION, /* dropped: IPv6 extension headers, or a fragment */
	OB_R_ARP_ANSWERED,
	OB_R_ARP_NOT_ACTIVE,
	OB_R_ND_ANSWERED,
	OB_R_ND_NOT_ACTIVE,
	OB_R_ND_INVALID, /* a solicitation that no host must answer (RFC 4861, section 7.1.1) */
	OB_R_TCP_TO_STACK, /* segment to a lane's port, for the kernel's stack */
	OB_R_TCP_NOT_ACTIVE, /* dropped: this node does not serve the lane */
	OB_R_TCP_REFUSED, /* dropped: another port, a fragment or IP options */
	OB_R_STACK_NOT_ACTIVE, /* dropped: the stack speaks for a lane that is not served here */
	/* fencing and promotion */
	OB_R_FENCED_BY_STEER,
	OB_R_FENCED_BY_PROBE,
	OB_R_CANDIDATE,
	OB_R_CANDIDATE_REFUSED, /* own engine dead or hung, wrong state or successor */
	/* link: refused before authentication */
	OB_R_LINK_TRUNCATED,
	OB_R_LINK_MAGIC,
	OB_R_LINK_VERSION,
	OB_R_LINK_LANE,
	OB_R_LINK_LENGTH,
	OB_R_LINK_ADDRESS,
	OB_R_LINK_NODE,
	OB_R_LINK_INCARNATION,
	OB_R_LINK_TYPE,
	OB_R_SECOND_TYPE, /* on the order NIC: what only the link NIC carries */
	OB_R_LINK_BUSY,
	OB_R_LINK_MAC,
	OB_R_LINK_PATH, /* a path of the other NIC, or none */
	OB_R_LINK_REPLAY,
	OB_R_LINK_NO_ENGINE, /* frame for user space, socket gone */
	/* mirror */
	OB_R_MIRROR_APPENDED,
	OB_R_MIRROR_HEARTBEAT,
	OB_R_MIRROR_REPEAT,
	OB_R_MIRROR_GAP,
	OB_R_MIRROR_FULL,
	OB_R_MIRROR_CROSS,
	OB_R_MIRROR_STALE, /* older epoch: answered STALE */
	OB_R_MIRROR_NEWER, /* newer epoch: SYNCING */
	OB_R_MIRROR_STATE, /* this node is not a standby */
	OB_R_MIRROR_TO_ENGINE, /* SYNCING: user space appends */
	/* ack and ride */
	OB_R_ACK,
	OB_R_ACK_STALE, /* wrong epoch, state or not ACTIVE here */
	OB_R_RIDE_RELEASED,
	OB_R_RIDE_CHAINED, /* released by the standby, on appending its records */
	OB_R_RIDE_UNCOVERED,
	OB_R_RIDE_ORDER, /* not the next output */
	OB_R_RIDE_FENCED, /* authority is not ACTIVE in the epoch */
	OB_R_PROBE_ANSWERED,
	OB_R_LIFE,
	OB_R_STALE,
	OB_R_FENCED_RECEIVED,
	OB_R_FORWARD_RECEIVED,
	OB_R_HELLO,
	OB_R_NO_DEVICE, /* order or link NIC of the lane is not set: ride or FORWARD lost */
	OB_R_MAX,
};

#endif /* ONEBEAT_H */
