-- What the desk itself has to tell an issuer's own host (reversals, advices), until that host answers. `sealed` opens in the
-- HSM only. Numbers are never used again: a row is deleted by its number.
CREATE TABLE owed (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  link TEXT NOT NULL,
  at INTEGER NOT NULL,
  sealed BLOB NOT NULL
) STRICT;
