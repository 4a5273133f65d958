// Package postgres keeps a lane's read model in a schema of a PostgreSQL
// database. A batch is one transaction: executions and new orders by COPY, changed
// orders by COPY into a temporary table and one UPDATE, and the mark, which is
// locked first, so that of two exporters one is refused.
package postgres
