// Package policy decides up to which position of the log outputs may leave, and
// what happens when the standby does not answer. It is pure.
package policy
