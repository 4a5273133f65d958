// Package ringfile is a lane's memory on a host without the kernel programs: a
// mapped file that another process can adopt, and others can look at. It begins
// with a page that holds the authority word, the boot id and the lane table; the
// ring follows.
package ringfile
