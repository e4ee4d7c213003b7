-- Objects that were removed within the last day, to look whether their digest gets a row again that
-- has no object: who pushes asks storage first and writes the row later.
--
-- Written in the transaction that deletes the tombstone. Losing a row makes such a loss go unseen
-- until somebody pulls; it never makes anything go.
create table quayhand_removed (
    id          bigint      generated always as identity,
    location_id integer     not null,
    -- The 32 bytes of a sha256; the object lay on the path that it leads to.
    digest      bytea       not null,
    removed_at  timestamptz not null default clock_timestamp(),
    -- When to look for a row next: soon at first, then less and less often. Not indexed: an update
    -- then stays on its page, and reading a million notes takes less than a fifth of a second.
    look_at     timestamptz not null default clock_timestamp(),
    constraint quayhand_removed_pk primary key (id),
    constraint quayhand_removed_sha256 check (octet_length(digest) = 32)
);
