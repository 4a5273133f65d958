// Package target is what an exporter asks of a place that holds a read model. How
// far it is stands in the place itself and changes in one step with the rows.
package target
