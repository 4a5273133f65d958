// Package dr is what an operator does with copies of lanes' logs on other hosts:
// asks how far behind they are, makes one of them the lane, lets it be a copy again,
// brings one back from a store.
package dr
