// Package readmodel turns a lane's records into rows: orders, executions and
// positions, as the lane's own application decided them. The machine is replayed
// with a Model between it and the application; nothing is decided here.
//
//   - An order's row is its state behind the record. It appears with the record
//     that the order was accepted by and stays when the application has forgotten
//     the order.
//   - An execution is one message of the application to a client, an
//     ExecutionReport or a Reject, named by the record's position and its number
//     behind that record.
//   - A position is one session's account in one symbol: what its orders have
//     traded, and what they may still trade.
//
// The rows of a batch are the newest state of what its records changed: whoever
// stores batch after batch, each once, holds the read model of the log.
package readmodel
