package export

import (
	"testing"
)

// TestTablesAreTheModel: what SQL says of itself, and what the keys of a Redis do,
// in one go and in pieces.
func TestTablesAreTheModel(t *testing.T) {
	pg, rd := startPostgres(t), startRedis(t)
	for _, app := range []string{"gateway", "book"} {
		t.Run(app, func(t *testing.T) {
			l := newLane(t, app == "gateway", 1)
			pieces := l.config("pieces", postgresSection(pg.dir, app+"_pieces")+redisSection(rd.dir, app+"_pieces"))
			for range 8 {
				l.grow(2000)
				once(t, pieces)
			}
			whole := l.config("whole", postgresSection(pg.dir, app+"_whole")+redisSection(rd.dir, app+"_whole"))
			once(t, whole)
			got, want := tables(t, pg.dir, app+"_pieces_lane3"), tables(t, pg.dir, app+"_whole_lane3")
			same(t, got, want)
			same(t, keys(t, rd.dir, app+"_pieces"), keys(t, rd.dir, app+"_whole"))
			if len(want["orders"]) < 1000 || len(want["executions"]) < 8000 || len(want["positions"]) != 12 {
				t.Errorf("%d orders, %d executions, %d positions", len(want["orders"]), len(want["executions"]), len(want["positions"]))
			}
			checkSQL(t, pg.dir, app+"_whole_lane3")
		})
	}
}

// checkSQL looks for rows that contradict each other.
func checkSQL(t *testing.T, dir, schema string) {
	t.Helper()
	for _, q := range []string{
		// positions are the sums of the orders
		`SELECT (p.*)::text FROM S.positions p LEFT JOIN (SELECT session, account, symbol,
			sum(CASE side WHEN 'Buy' THEN cum_lots ELSE 0 END) AS bought, sum(CASE side WHEN 'Sell' THEN cum_lots ELSE 0 END) AS sold,
			sum(CASE side WHEN 'Buy' THEN reserved_lots ELSE 0 END) AS open_buy, sum(CASE side WHEN 'Sell' THEN reserved_lots ELSE 0 END) AS open_sell
			FROM S.orders GROUP BY 1, 2, 3) o USING (session, account, symbol)
			WHERE (p.net_lots, p.bought_lots, p.sold_lots, p.open_buy_lots, p.open_sell_lots) IS DISTINCT FROM (o.bought - o.sold, o.bought, o.sold, o.open_buy, o.open_sell)`,
		// and their values those of the priced trades
		`SELECT (p.*)::text FROM S.positions p JOIN (SELECT session, account, symbol,
			sum(CASE side WHEN 'Buy' THEN last_lots * last_price_ticks ELSE 0 END) AS bought, sum(CASE side WHEN 'Sell' THEN last_lots * last_price_ticks ELSE 0 END) AS sold
			FROM S.executions WHERE kind = 'Trade' GROUP BY 1, 2, 3) e USING (session, account, symbol)
			WHERE (p.bought_value, p.sold_value) IS DISTINCT FROM (e.bought, e.sold)`,
		// an order has traded what its trades say, unless one was never told
		`SELECT (o.*)::text FROM S.orders o JOIN (SELECT session, coalesce(orig_cl_ord_id, cl_ord_id) AS cl_ord_id, sum(last_lots) AS lots, bool_or(last_lots = 0) AS untold
			FROM S.executions WHERE kind = 'Trade' GROUP BY 1, 2) e USING (session, cl_ord_id) WHERE e.lots <> o.cum_lots AND NOT e.untold`,
		`SELECT (o.*)::text FROM S.orders o WHERE open <> (leaves_lots > 0) OR created_position > updated_position OR cum_lots > qty_lots AND open`,
		// the newest report about an order tells its status
		`SELECT (o.*)::text FROM S.orders o JOIN (SELECT DISTINCT ON (session, coalesce(orig_cl_ord_id, cl_ord_id)) session, coalesce(orig_cl_ord_id, cl_ord_id) AS cl_ord_id,
			position, status FROM S.executions WHERE kind <> 'Refused' ORDER BY session, coalesce(orig_cl_ord_id, cl_ord_id), position DESC, index DESC) e
			USING (session, cl_ord_id) WHERE e.position >= o.updated_position AND e.status <> o.status`,
	} {
		if bad := query(t, dir, withSchema(q, schema)); len(bad) > 0 {
			t.Errorf("%d rows, the first %s\n%s", len(bad), bad[0], q)
		}
	}
}
