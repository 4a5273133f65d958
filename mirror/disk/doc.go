// Package disk is the little of a filesystem that archives and snapshots need,
// behind an interface, so that tests can make every call of it fail. OS is the
// real one; Faulty fails as it is told.
package disk
