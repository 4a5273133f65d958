-- How far the read model is: one row, changed by every transaction that changes
-- another table.
CREATE TABLE mark (
	one         boolean PRIMARY KEY DEFAULT true CHECK (one),
	lane        integer NOT NULL,
	app         text NOT NULL,
	identity    text NOT NULL,          -- of the lane's life
	node        text NOT NULL,          -- whose log was read last
	position    bigint NOT NULL,        -- behind the last record
	last        bigint NOT NULL,        -- where that record begins
	epoch       bigint NOT NULL,
	time_ns     bigint NOT NULL,        -- lane time of it
	records     bigint NOT NULL,
	digest      text NOT NULL,          -- of the lane's state, hexadecimal
	stored_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE sessions (
	session     integer PRIMARY KEY,    -- index in the node's configuration
	id          uuid NOT NULL,
	name        text NOT NULL
);

CREATE TABLE symbols (
	symbol      bigint PRIMARY KEY,
	name        text NOT NULL
);

CREATE TABLE orders (
	session            integer NOT NULL,
	cl_ord_id          numeric(20) NOT NULL, -- all 64 bits, unsigned
	order_id           numeric(20),          -- the venue's; null: not known yet
	account            bigint NOT NULL,
	symbol             bigint NOT NULL,
	side               text NOT NULL,        -- Buy, Sell
	ord_type           text NOT NULL,        -- Limit, Market
	time_in_force      text NOT NULL,        -- Day, ImmediateOrCancel
	price_ticks        bigint NOT NULL,
	qty_lots           bigint NOT NULL,
	cum_lots           bigint NOT NULL,
	leaves_lots        bigint NOT NULL,
	reserved_lots      bigint NOT NULL,      -- what it may still trade, a replace under way included
	status             text NOT NULL,        -- as the client sees it
	open               boolean NOT NULL,
	pending            text,                 -- the request at the venue: a message's name
	pending_cl_ord_id  numeric(20),
	created_position   bigint NOT NULL,      -- the record that the order was accepted by
	created_at         timestamptz NOT NULL, -- lane time
	updated_position   bigint NOT NULL,      -- the last record that changed it
	updated_at         timestamptz NOT NULL,
	PRIMARY KEY (session, cl_ord_id)
) WITH (fillfactor = 80);
CREATE INDEX orders_open ON orders (session, symbol) WHERE open;

CREATE TABLE executions (
	position           bigint NOT NULL,      -- of the record in the lane's log
	index              integer NOT NULL,     -- of the messages behind it
	time_ns            bigint NOT NULL,      -- lane time
	at                 timestamptz NOT NULL, -- the same, in microseconds
	epoch              bigint NOT NULL,
	session            integer NOT NULL,
	kind               text NOT NULL,        -- ExecType, or Refused for a Reject
	cl_ord_id          numeric(20) NOT NULL,
	orig_cl_ord_id     numeric(20),          -- of the order, when cl_ord_id is a request's
	exec_id            numeric(20),
	order_id           numeric(20),
	account            bigint,
	symbol             bigint,
	side               text,
	status             text,
	price_ticks        bigint,
	last_price_ticks   bigint,
	last_lots          bigint,
	qty_lots           bigint,
	cum_lots           bigint,
	leaves_lots        bigint,
	reason             text,
	value              bigint,               -- of a Reject: what was refused
	value_limit        bigint,               -- and the limit it broke
	refused            text,                 -- of a Reject: the message's name
	PRIMARY KEY (position, index)
);
CREATE INDEX executions_order ON executions (session, cl_ord_id);

CREATE TABLE positions (
	session            integer NOT NULL,
	account            bigint NOT NULL,
	symbol             bigint NOT NULL,
	net_lots           bigint NOT NULL,      -- bought less sold
	bought_lots        numeric(20) NOT NULL,
	sold_lots          numeric(20) NOT NULL,
	open_buy_lots      bigint NOT NULL,      -- what open orders may still trade
	open_sell_lots     bigint NOT NULL,
	bought_value       numeric(39) NOT NULL, -- sum of price ticks x lots
	sold_value         numeric(39) NOT NULL,
	unpriced_lots      numeric(20) NOT NULL, -- traded at a price that nobody told; not in the values
	updated_position   bigint NOT NULL,
	updated_at         timestamptz NOT NULL,
	PRIMARY KEY (session, account, symbol)
);
CREATE INDEX positions_symbol ON positions (symbol);
