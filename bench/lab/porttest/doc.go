// Package porttest gives tests ports of loopback for servers that bind one
// themselves: another library's, another process's, or one that goes and comes
// back at its port.
package porttest
