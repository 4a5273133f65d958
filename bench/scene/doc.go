// Package scene writes the configuration of a lab: which lanes its nodes carry,
// the venue behind the gateways, keys and sessions. What a drill, a load or a
// test runs is what these files can ask for.
package scene
