package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"onebeat/tools/export/target"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migration is one step of the schema.
type migration struct {
	version int
	sql     string
}

func allMigrations() (list []migration, err error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range names { // sorted
		version, err := strconv.Atoi(strings.TrimSuffix(path.Base(name), ".sql"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list = append(list, migration{version, string(text)})
	}
	return list, nil
}

// migrate brings the schema to this program's version. tx works in the schema.
func (p *Postgres) migrate(ctx context.Context, tx pgx.Tx) error {
	// One exporter at a time makes a schema; the lock ends with the transaction.
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('onebeat export'), hashtext($1))", p.o.Schema); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+p.schema); err != nil {
		return fmt.Errorf("schema %s: %w", p.o.Schema, err)
	}
	if _, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT now())"); err != nil {
		return err
	}
	var have int
	if err := tx.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&have); err != nil {
		return err
	}
	list, err := allMigrations()
	if err != nil {
		return err
	}
	if newest := list[len(list)-1].version; have > newest {
		return fmt.Errorf("%w: schema %s has version %d, this program knows up to %d: use the newer program, or --reset",
			target.ErrSchema, p.o.Schema, have, newest)
	}
	for _, m := range list {
		if m.version <= have {
			continue
		}
		if _, err := tx.Exec(ctx, m.sql); err != nil {
			return fmt.Errorf("migration %d of schema %s: %w", m.version, p.o.Schema, err)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO schema_version (version) VALUES ($1)", m.version); err != nil {
			return err
		}
	}
	return nil
}

// claim finds the mark, or makes that of a new read model.
func (p *Postgres) claim(ctx context.Context, tx pgx.Tx, l *target.Lane) (target.Mark, error) {
	var id int
	var app, identity string
	err := tx.QueryRow(ctx, "SELECT lane, app, identity FROM mark FOR UPDATE").Scan(&id, &app, &identity)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		_, err = tx.Exec(ctx, `INSERT INTO mark (lane, app, identity, node, position, last, epoch, time_ns, records, digest)
			VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 0, '')`, l.ID, l.App, l.Identity.String(), l.Node)
		return target.Mark{}, err
	case err != nil:
		return target.Mark{}, err
	case id != l.ID || app != l.App || identity != l.Identity.String():
		return target.Mark{}, fmt.Errorf("%w: schema %s is that of lane %d, %s, life %s; the log is that of lane %d, %s, life %s: name another schema, or remove it and begin anew with --reset",
			target.ErrForeign, p.o.Schema, id, app, identity, l.ID, l.App, l.Identity)
	}
	if _, err := tx.Exec(ctx, "UPDATE mark SET node = $1", l.Node); err != nil {
		return target.Mark{}, err
	}
	return readMark(ctx, tx)
}

// names writes what sessions and symbols are called.
func names(ctx context.Context, tx pgx.Tx, l *target.Lane) error {
	for i, s := range l.Sessions {
		if _, err := tx.Exec(ctx, `INSERT INTO sessions VALUES ($1, $2, $3)
			ON CONFLICT (session) DO UPDATE SET id = excluded.id, name = excluded.name`, i, s.ID, s.Name); err != nil {
			return err
		}
	}
	for _, s := range l.Symbols {
		if _, err := tx.Exec(ctx, "INSERT INTO symbols VALUES ($1, $2) ON CONFLICT (symbol) DO UPDATE SET name = excluded.name", int64(s.ID), s.Name); err != nil {
			return err
		}
	}
	return nil
}

// readMark reads the mark of the schema.
func readMark(ctx context.Context, tx pgx.Tx) (m target.Mark, err error) {
	var position, last, records int64
	var epoch int64
	var digest string
	if err := tx.QueryRow(ctx, "SELECT position, last, epoch, time_ns, records, digest FROM mark FOR UPDATE").
		Scan(&position, &last, &epoch, &m.TimeNs, &records, &digest); err != nil {
		return m, err
	}
	m.Position, m.Last, m.Epoch, m.Records = uint64(position), uint64(last), uint32(epoch), uint64(records)
	if digest != "" {
		if m.Digest, err = strconv.ParseUint(digest, 16, 64); err != nil {
			return m, fmt.Errorf("%w: the mark's digest is %q", target.ErrRows, digest)
		}
	}
	return m, nil
}
