"""The SQLite file of stored objects: its tables, and what is said to it.

A trigger sums up the bytes of each tenant, so that no writer can forget to.
"""

from typing import Final

VERSION: Final = 1
LAYOUT: Final = (
    """CREATE TABLE objects (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
        created REAL NOT NULL, model TEXT NOT NULL, metadata TEXT NOT NULL, size INTEGER NOT NULL,
        asked BLOB NOT NULL, body BLOB NOT NULL, UNIQUE (tenant, kind, id)
    )""",
    "CREATE INDEX objects_listed ON objects(tenant, kind, sequence)",
    "CREATE INDEX objects_created ON objects(created)",
    "CREATE TABLE held (tenant TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TRIGGER objects_put AFTER INSERT ON objects BEGIN
        INSERT INTO held VALUES (new.tenant, new.size) ON CONFLICT DO UPDATE SET bytes = bytes + new.size;
    END""",
    """CREATE TRIGGER objects_changed AFTER UPDATE ON objects BEGIN
        UPDATE held SET bytes = bytes + new.size - old.size WHERE tenant = new.tenant;
    END""",
    """CREATE TRIGGER objects_gone AFTER DELETE ON objects BEGIN
        UPDATE held SET bytes = bytes - old.size WHERE tenant = old.tenant;
    END""",
)
PUT: Final = """
INSERT INTO objects (tenant, kind, id, created, model, metadata, size, asked, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, kind, id) DO UPDATE SET created = excluded.created, model = excluded.model,
    metadata = excluded.metadata, size = excluded.size, asked = excluded.asked, body = excluded.body
"""
GET: Final = """
SELECT tenant, kind, id, created, model, metadata, asked, body FROM objects
WHERE tenant = ? AND kind = ? AND id = ? AND created >= ?
"""
DELETE: Final = "DELETE FROM objects WHERE tenant = ? AND kind = ? AND id = ? AND created >= ?"
PAGE: Final = """
SELECT tenant, kind, id, created, model, metadata, asked, body FROM objects
WHERE tenant = :tenant AND kind = :kind AND created >= :oldest AND (:model = '' OR model = :model)
AND sequence > CASE WHEN :after = '' THEN 0
    ELSE (SELECT sequence FROM objects WHERE tenant = :tenant AND kind = :kind AND id = :after) END
AND NOT EXISTS (SELECT 1 FROM json_each(:metadata) AS wanted WHERE NOT EXISTS (
    SELECT 1 FROM json_each(metadata) AS word WHERE word.key = wanted.key AND word.value = wanted.value))
ORDER BY sequence ASC LIMIT :limit
"""
PAGE_BACK: Final = PAGE.replace(
    "> CASE WHEN :after = '' THEN 0", f"< CASE WHEN :after = '' THEN {(1 << 63) - 1}"
).replace("ASC", "DESC")
ERASE: Final = "DELETE FROM objects WHERE sequence IN (SELECT sequence FROM objects WHERE created < ? LIMIT ?)"
SIZE: Final = "SELECT size FROM objects WHERE tenant = ? AND kind = ? AND id = ?"
CHANGE: Final = """
UPDATE objects SET created = ?, model = ?, metadata = ?, size = ?, asked = ?, body = ?
WHERE tenant = ? AND kind = ? AND id = ?
"""
AGE: Final = "SELECT created FROM objects WHERE tenant = ? AND kind = ? AND id = ? AND created >= ?"
RENEW: Final = """
UPDATE objects SET created = :now WHERE tenant = :tenant AND (kind = :below OR (kind = :kind AND id = :id))
"""
DELETE_BELOW: Final = "DELETE FROM objects WHERE tenant = ? AND kind = ?"
HELD: Final = "SELECT bytes FROM held WHERE tenant = ?"
