-- One row a message; it stays after delivery as the log, until retention removes it.
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY,
    reverse_path TEXT NOT NULL,
    received_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    user TEXT,
    client TEXT NOT NULL,
    size INTEGER NOT NULL,
    subject TEXT NOT NULL,
    message_id TEXT NOT NULL,
    options TEXT NOT NULL,          -- envelope parameters as JSON, '' for none
    checksum INTEGER NOT NULL,      -- CRC-32 of the content
    in_file INTEGER NOT NULL,       -- content in bodies/ID.eml, else in table body
    warned INTEGER NOT NULL DEFAULT 0
) STRICT;

-- For the check at start that the files are there. Small messages are not in it.
CREATE INDEX IF NOT EXISTS message_in_file ON message (id) WHERE in_file = 1;

CREATE TABLE IF NOT EXISTS recipient (
    message INTEGER NOT NULL,
    number INTEGER NOT NULL,        -- place in the envelope
    address TEXT NOT NULL,
    domain TEXT NOT NULL,
    options TEXT NOT NULL,          -- NOTIFY and ORCPT as JSON, '' for none
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_at REAL NOT NULL,
    started INTEGER NOT NULL,       -- an attempt may be under way
    reply TEXT NOT NULL,            -- the words that decided last
    reason TEXT NOT NULL,
    PRIMARY KEY (message, number)
) STRICT, WITHOUT ROWID;

-- What waits, by destination and time. Nothing of a route: routes are resolved at each attempt.
-- The state is in it although it is always 0: SQLite would look into each row for it otherwise.
CREATE INDEX IF NOT EXISTS recipient_due ON recipient (domain, due_at, message, state)
    WHERE state = 0;
CREATE INDEX IF NOT EXISTS recipient_held ON recipient (message, state) WHERE state = 1;
-- What came to no good end, for people; a delivered recipient is in no index at all.
CREATE INDEX IF NOT EXISTS recipient_failed ON recipient (state, message) WHERE state > 2;

-- Content of up to 256 KiB; deleted when no recipient waits for it.
CREATE TABLE IF NOT EXISTS body (
    message INTEGER PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS attempt (
    message INTEGER NOT NULL,
    started_at REAL NOT NULL,
    serial INTEGER NOT NULL,        -- tells apart attempts of the same moment
    seconds REAL NOT NULL,
    route TEXT NOT NULL,
    next_hop TEXT NOT NULL,
    tls TEXT NOT NULL,
    uncertain INTEGER NOT NULL,
    results TEXT NOT NULL,          -- JSON: [[number, state, due_at, reply, reason], ...]
    transcript TEXT NOT NULL,
    PRIMARY KEY (message, started_at, serial)
) STRICT, WITHOUT ROWID;

-- What the sandbox has caught; content above 256 KiB is a link in captured/ID.eml.
CREATE TABLE IF NOT EXISTS captured (
    message INTEGER PRIMARY KEY,
    reverse_path TEXT NOT NULL,
    recipients TEXT NOT NULL,       -- JSON list
    captured_at REAL NOT NULL,
    size INTEGER NOT NULL,
    subject TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    content BLOB                    -- NULL: in the file
) STRICT;

-- What has happened, in the order of commits; see events.py. References only: what it says stands in
-- the rows of message and attempt. Written by triggers while the log is on (sqlite_events.py).
-- The newest row is never removed, so numbers do not come again.
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    message INTEGER NOT NULL,       -- 0: of none
    at REAL NOT NULL,
    started_at REAL,                -- of the attempt, with its serial
    serial INTEGER,
    number INTEGER,                 -- the one recipient it is about
    name TEXT,                      -- of what came from elsewhere
    detail TEXT                     -- and more of it, as JSON
) STRICT;

CREATE TABLE IF NOT EXISTS suppression (
    address TEXT PRIMARY KEY,       -- lower case
    reason TEXT NOT NULL,
    added_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS fact (   -- small facts of the spool itself and of the engine
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
