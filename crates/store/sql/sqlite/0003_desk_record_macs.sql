-- The HSM's MACs of the rows from which a cardmember's authority follows. A password that was set before has none and
-- doesn't count until it is set again; sessions and step-ups from before, short-lived as they are, end here.

ALTER TABLE cardmember ADD COLUMN password_mac BLOB CHECK (password_mac IS NULL OR length(password_mac) = 16);

DROP TABLE step_up;
DROP TABLE session;

CREATE TABLE session (
  token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
  cardmember INTEGER NOT NULL REFERENCES cardmember (id),
  opened_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  mac BLOB NOT NULL CHECK (length(mac) = 16)
) STRICT, WITHOUT ROWID;

-- At most one grant for a session, card and operation: a newer one replaces it.
CREATE TABLE step_up (
  session BLOB NOT NULL CHECK (length(session) = 32),
  card INTEGER NOT NULL,
  operation TEXT NOT NULL,
  granted_at INTEGER NOT NULL,
  mac BLOB NOT NULL CHECK (length(mac) = 16),
  spent INTEGER NOT NULL CHECK (spent IN (0, 1)),
  PRIMARY KEY (session, card, operation)
) STRICT, WITHOUT ROWID;
