// Package schema reads an SBE schema with fixed-size blocks (no groups, no
// variable data), checks it against the rules of SBE 1.0 and of this repository,
// and writes it for others: as tables for people and as tables of a Wireshark
// dissector.
package schema
