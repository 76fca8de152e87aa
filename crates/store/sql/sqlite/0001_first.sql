-- The first schema. Times are milliseconds since 1970 UTC; a card's number is the first 64 bits of the HMAC of its
-- PAN, read as a two's complement integer.

CREATE TABLE cardmember (
  id INTEGER PRIMARY KEY,
  reference TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  email TEXT NOT NULL,
  user_id TEXT UNIQUE,
  password_hash TEXT,
  sign_in_failures INTEGER NOT NULL DEFAULT 0,
  sign_in_locked_until INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE card (
  id INTEGER PRIMARY KEY,
  pan_check BLOB NOT NULL CHECK (length(pan_check) = 24),
  sealed_pan BLOB NOT NULL CHECK (length(sealed_pan) = 16),
  psn INTEGER NOT NULL,
  last_four TEXT NOT NULL,
  expiry TEXT NOT NULL,
  programme TEXT NOT NULL,
  cardmember INTEGER NOT NULL REFERENCES cardmember (id),
  role TEXT NOT NULL CHECK (role IN ('basic', 'supplementary')),
  version INTEGER NOT NULL,
  state BLOB NOT NULL,
  mac BLOB NOT NULL CHECK (length(mac) = 16)
) STRICT;

CREATE INDEX card_by_cardmember ON card (cardmember);

-- Answered messages. The identity begins with the transmission time, so rows arrive nearly in key order.
CREATE TABLE message (
  identity BLOB PRIMARY KEY CHECK (length(identity) = 16),
  content BLOB NOT NULL CHECK (length(content) = 32),
  answer BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The hash chain. No second index: each would cost every authorisation a page.
CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  card INTEGER,
  actor TEXT NOT NULL,
  detail TEXT NOT NULL,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TABLE anchor (
  sequence INTEGER PRIMARY KEY,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  mac BLOB NOT NULL CHECK (length(mac) = 16),
  at INTEGER NOT NULL
) STRICT;

CREATE TABLE script_attempt (
  card INTEGER NOT NULL REFERENCES card (id),
  attempt INTEGER NOT NULL,
  kind TEXT NOT NULL,
  version INTEGER NOT NULL,
  atc INTEGER NOT NULL,
  sent_at INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  evidence TEXT NOT NULL,
  resolved_at INTEGER,
  PRIMARY KEY (card, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
  token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
  cardmember INTEGER NOT NULL REFERENCES cardmember (id),
  opened_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- At most one grant for a session, card and operation: a newer one replaces it.
CREATE TABLE step_up (
  session BLOB NOT NULL CHECK (length(session) = 32),
  card INTEGER NOT NULL,
  operation TEXT NOT NULL,
  granted_at INTEGER NOT NULL,
  spent INTEGER NOT NULL CHECK (spent IN (0, 1)),
  PRIMARY KEY (session, card, operation)
) STRICT, WITHOUT ROWID;

-- The outbox. due_at is the end of the lease while somebody sends it, the next try after a failure.
CREATE TABLE notice (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  message_id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  cardmember INTEGER NOT NULL REFERENCES cardmember (id),
  last_four TEXT NOT NULL,
  at INTEGER NOT NULL,
  detail TEXT NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  due_at INTEGER NOT NULL,
  sent_at INTEGER,
  failure TEXT
) STRICT;

CREATE INDEX notice_unsent ON notice (cardmember, id) WHERE sent_at IS NULL;
CREATE INDEX notice_unsent_by_id ON notice (id) WHERE sent_at IS NULL;
