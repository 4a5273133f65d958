// Package bed runs a scene's nodes for a measurement: processes of the onebeat program,
// each in its place of a lab.
package bed
