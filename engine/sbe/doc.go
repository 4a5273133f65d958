// Package sbe holds the messages of onebeat: the schema (onebeat.xml), the
// flyweights generated from it and the framing around them.
//
// A message on the wire is a Simple Open Framing Header, an SBE message header
// and a fixed-size block; flyweights are views of a block and copy nothing.
//
// ClOrdID is a u64, not FIX's string: it is compared, hashed and packed with a
// session index into the venue's ClOrdID on every order, and it is what makes
// a repeat recognisable. Within a session ClOrdIDs of new requests rise, apart
// from reordering: a bounded window of used numbers stands for all history, so
// a duplicate is found however long the day was. 0 is never a ClOrdID.
package sbe

import _ "embed"

//go:generate go run ../../tools/sbegen onebeat.xml session.go orders.go ../../tools/wireshark/onebeat_messages.lua ../../docs/fixp.md

// Schema is onebeat.xml: what others generate their clients from.
//
//go:embed onebeat.xml
var Schema []byte
