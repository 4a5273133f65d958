// Package member runs a member of an etcd cluster inside this process.
package member
