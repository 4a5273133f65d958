// Package wireshark holds the dissector of onebeat's orders and link frames for
// Wireshark and tshark, in Lua: onebeat.lua, with the messages of the schema in
// onebeat_messages.lua, which is generated. The package itself is empty: its tests
// let tshark read captures of real frames.
package wireshark
