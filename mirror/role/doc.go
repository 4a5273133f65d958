// Package role decides what a node is to a lane. It is pure: events and the
// time come in, effects go out, and nothing else happens.
//
//	              ┌──────────────────────────────────────────────┐ newer epoch
//	              ▼                                              │
//	INIT ────► SYNCING ────► STANDBY ════► CANDIDATE ────► ACTIVE │
//	  │        ▲  ▲   │         │            ▲  │          │  ║  │
//	  │        │  │   └─────────┼──claim─────┘  │refused   │  ║──┘
//	  │        │  └─newer epoch─┘             ──┘          │  ║
//	  │        └──────────────────────────── FENCED ◄──────┘◄═╝
//	  └─ a writer starts again ────────────────▲│
//	                        CANDIDATE ◄──claim──┘
//
//	═══ by the kernel too: STANDBY → CANDIDATE on FENCED (or silence, where
//	configured), ACTIVE → FENCED on a dead or hung engine, any → SYNCING on a
//	frame of a newer epoch.
//
// What keeps two nodes from writing at once:
//
//  1. STANDBY is entered only in an epoch newer than any this node took part
//     in. Once SYNCING or FENCED in epoch E, a node is nothing in E any more: it
//     is parked.
//  2. STANDBY promotes on the word of the writer's kernel (or silence, where
//     degrading is refused). The kernel of a writer says FENCED once, for good.
//  3. Two parked members claim by their logs: the greater (epoch of the last
//     record, position), at a tie the last writer. Each counts only what the
//     other said after it was parked in this epoch or later.
//  4. The authority word is the last judge: every change of role is a
//     compare-and-swap, and who loses it takes nothing of it back by hand.
package role
