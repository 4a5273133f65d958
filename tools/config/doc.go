// Package config reads a node's TOML file. It is strict: an unknown key, a
// wrong type, a missing field or settings that contradict each other refuse
// the whole file, and every error is reported at once with its place
// (file:line:column), the field's path, what is wrong and the remedy.
//
// The structs carry the file's format in tags:
//
//	toml      name of the key
//	required  "true": the key must be there
//	default   value when the key is absent, as text
//	oneof     allowed strings, separated by |
//	range     least and greatest number or duration, separated by ..
package config
