package operator

import "fmt"

// limitNames are the limits that RiskSet sets, by What: the numbers stand in logs.
var limitNames = [...]string{"max_qty_lots", "max_notional", "collar_percent", "max_position_lots", "max_gross_lots", "max_open_orders",
	"max_open_notional", "max_credit", "max_orders_per_second", "max_repeated_executions", "repeat_window_ms", "duplicate_window_ms",
	"self_match", "restricted"}

// Limits is how many there are.
const Limits = len(limitNames)

// LimitName is a limit's name in the configuration and on the command line.
func LimitName(what uint32) string {
	if what < uint32(Limits) {
		return limitNames[what]
	}
	return fmt.Sprintf("limit %d", what)
}
