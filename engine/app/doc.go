// Package app is the contract between the order path and the applications
// that run on it: what a record means to an application and how it answers.
//
// Inputs are recorded, outputs are derived. Everything here and in the
// packages that implement it is pure: time is an argument in nanoseconds, no
// package net, os, syscall or time is imported, and two machines that apply
// the same records hold the same state and derive the same outputs.
package app
