package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"onebeat/engine/readmodel"
	"onebeat/tools/export/target"
)

// Options say where a read model is kept.
type Options struct {
	URL      string // as libpq's: a URI, or key=value pairs
	Password string // instead of one in the URL; empty: that, or ~/.pgpass
	Schema   string
	Timeout  time.Duration // of one transaction
}

// Postgres is a read model in a schema. It connects when it is asked and has no
// connection, and lets go of one that failed.
type Postgres struct {
	o      Options
	cfg    *pgx.ConnConfig
	schema string // quoted
	conn   *pgx.Conn

	newOrders, changed, executions, positions rows
}

var _ target.Target = (*Postgres)(nil)

// New checks the options. Nothing is connected yet.
func New(o Options) (*Postgres, error) {
	cfg, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if o.Password != "" {
		cfg.Password = o.Password
	}
	p := &Postgres{o: o, cfg: cfg, schema: pgx.Identifier{o.Schema}.Sanitize()}
	cfg.RuntimeParams["application_name"] = "onebeat export " + o.Schema
	cfg.RuntimeParams["search_path"] = p.schema
	cfg.ConnectTimeout = o.Timeout
	return p, nil
}

// connected returns a connection, with the temporary table of changed orders.
func (p *Postgres) connected(ctx context.Context) (*pgx.Conn, error) {
	if p.conn != nil && !p.conn.IsClosed() {
		return p.conn, nil
	}
	var err error
	if p.conn, err = pgx.ConnectConfig(ctx, p.cfg); err != nil {
		p.conn = nil
		return nil, err
	}
	return p.conn, nil
}

// in runs do in a transaction. After any error the connection is given up: what
// the server knows of it is not known.
func (p *Postgres) in(ctx context.Context, do func(ctx context.Context, tx pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	conn, err := p.connected(ctx)
	if err != nil {
		return err
	}
	if err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return do(ctx, tx) }); err != nil {
		p.Close()
	}
	return err
}

// Open implements target.Target.
func (p *Postgres) Open(ctx context.Context, l *target.Lane) (mark target.Mark, err error) {
	err = p.in(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := p.migrate(ctx, tx); err != nil {
			return err
		}
		if mark, err = p.claim(ctx, tx, l); err != nil {
			return err
		}
		return names(ctx, tx, l)
	})
	return mark, err
}

// Positions implements target.Target.
func (p *Postgres) Positions(ctx context.Context) (list []readmodel.Position, err error) {
	err = p.in(ctx, func(ctx context.Context, tx pgx.Tx) error {
		r, err := tx.Query(ctx, `SELECT session, account, symbol, net_lots, bought_lots::text, sold_lots::text, open_buy_lots, open_sell_lots,
			bought_value::text, sold_value::text, unpriced_lots::text, updated_position, (extract(epoch FROM updated_at) * 1000000)::bigint FROM positions`)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(r, scanPosition)
		return err
	})
	return list, err
}

func scanPosition(r pgx.CollectableRow) (p readmodel.Position, err error) {
	var session, account, symbol, updated, updatedUs int64
	var texts [5]string
	if err = r.Scan(&session, &account, &symbol, &p.NetLots, &texts[0], &texts[1], &p.OpenBuyLots, &p.OpenSellLots,
		&texts[2], &texts[3], &texts[4], &updated, &updatedUs); err != nil {
		return p, err
	}
	p.Session, p.Account, p.SymbolID = uint32(session), uint32(account), uint32(symbol)
	p.Updated = readmodel.At{Position: uint64(updated), TimeNs: updatedUs * 1000}
	var values [5]readmodel.Value
	for i, text := range texts {
		if values[i], err = readmodel.ParseValue(text); err != nil {
			return p, fmt.Errorf("%w: %w", target.ErrRows, err)
		}
	}
	p.BoughtLots, p.SoldLots, p.UnpricedLots = values[0].Low, values[1].Low, values[4].Low
	p.BoughtValue, p.SoldValue = values[2], values[3]
	return p, nil
}

// Store implements target.Target.
func (p *Postgres) Store(ctx context.Context, from, to target.Mark, b *readmodel.Batch) error {
	p.encode(b)
	return p.in(ctx, func(ctx context.Context, tx pgx.Tx) error {
		have, err := readMark(ctx, tx)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("%w: it is gone", target.ErrMoved)
		case err != nil:
			return err
		case have == to:
			return nil // the commit whose answer was lost
		case have != from:
			return fmt.Errorf("%w: schema %s is at %d, was left at %d: another exporter writes there, or the server lost transactions",
				target.ErrMoved, p.o.Schema, have.Position, from.Position)
		}
		if err := p.write(ctx, tx); err != nil {
			return rowError(err)
		}
		_, err = tx.Exec(ctx, `UPDATE mark SET position = $1, last = $2, epoch = $3, time_ns = $4, records = $5, digest = $6, stored_at = clock_timestamp()`,
			int64(to.Position), int64(to.Last), int64(to.Epoch), to.TimeNs, int64(to.Records), fmt.Sprintf("%016x", to.Digest))
		return err
	})
}

// encode makes the COPY texts of a batch.
func (p *Postgres) encode(b *readmodel.Batch) {
	for _, r := range []*rows{&p.newOrders, &p.changed, &p.executions, &p.positions} {
		r.reset()
	}
	for i := range b.Orders {
		if o := &b.Orders[i]; o.New {
			p.newOrders.order(o)
		} else {
			p.changed.order(o)
		}
	}
	for i := range b.Executions {
		p.executions.execution(&b.Executions[i])
	}
	for i := range b.Positions {
		p.positions.position(&b.Positions[i])
	}
}

// write brings the rows to the server.
func (p *Postgres) write(ctx context.Context, tx pgx.Tx) error {
	if err := copyRows(ctx, tx, &p.executions, "executions", executionColumns); err != nil {
		return err
	}
	if err := copyRows(ctx, tx, &p.newOrders, "orders", orderColumns); err != nil {
		return err
	}
	if p.changed.count > 0 {
		if err := staged(ctx, tx, &p.changed, "changed_orders", "orders", orderColumns); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, updateOrders)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != int64(p.changed.count) {
			return fmt.Errorf("%w: %d orders changed, %d of them are there", target.ErrRows, p.changed.count, tag.RowsAffected())
		}
	}
	if p.positions.count > 0 {
		if err := staged(ctx, tx, &p.positions, "changed_positions", "positions", positionColumns); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, upsertPositions); err != nil {
			return err
		}
	}
	return nil
}

const (
	// What an order is named by, and when it was accepted, never changes.
	updateOrders = `UPDATE orders o SET order_id = c.order_id, price_ticks = c.price_ticks, qty_lots = c.qty_lots, cum_lots = c.cum_lots,
	leaves_lots = c.leaves_lots, reserved_lots = c.reserved_lots, status = c.status, open = c.open, pending = c.pending,
	pending_cl_ord_id = c.pending_cl_ord_id, updated_position = c.updated_position, updated_at = c.updated_at
	FROM changed_orders c WHERE o.session = c.session AND o.cl_ord_id = c.cl_ord_id`

	upsertPositions = `INSERT INTO positions (` + positionColumns + `) SELECT ` + positionColumns + ` FROM changed_positions
	ON CONFLICT (session, account, symbol) DO UPDATE SET net_lots = excluded.net_lots, bought_lots = excluded.bought_lots, sold_lots = excluded.sold_lots,
	open_buy_lots = excluded.open_buy_lots, open_sell_lots = excluded.open_sell_lots, bought_value = excluded.bought_value,
	sold_value = excluded.sold_value, unpriced_lots = excluded.unpriced_lots, updated_position = excluded.updated_position, updated_at = excluded.updated_at`
)

// staged copies rows into a temporary table like another one. It is the
// connection's: a pooler between must not share that with others.
func staged(ctx context.Context, tx pgx.Tx, r *rows, table, like, columns string) error {
	if _, err := tx.Exec(ctx, "CREATE TEMPORARY TABLE IF NOT EXISTS "+table+" (LIKE "+like+") ON COMMIT DELETE ROWS"); err != nil {
		return err
	}
	return copyRows(ctx, tx, r, table, columns)
}

func copyRows(ctx context.Context, tx pgx.Tx, r *rows, table, columns string) error {
	if r.count == 0 {
		return nil
	}
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(r.b), "COPY "+table+" ("+columns+") FROM STDIN")
	if err == nil && tag.RowsAffected() != int64(r.count) {
		err = fmt.Errorf("%w: %d rows of %d were copied into %s", target.ErrRows, tag.RowsAffected(), r.count, table)
	}
	return err
}

// uniqueViolation is the SQLSTATE of a key that is there already.
const uniqueViolation = "23505"

func rowError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == uniqueViolation {
		return fmt.Errorf("%w: %s: %s: somebody else writes there, or removed its mark; begin anew with --reset", target.ErrRows, pg.Message, pg.Detail)
	}
	return err
}

// Reset implements target.Target.
func (p *Postgres) Reset(ctx context.Context) error {
	return p.in(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+p.schema+" CASCADE")
		return err
	})
}

// Close implements target.Target.
func (p *Postgres) Close() {
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = p.conn.Close(ctx) // the server rolls back what was open
	p.conn = nil
}

// closeTimeout bounds the farewell to a server that may be gone.
const closeTimeout = time.Second
