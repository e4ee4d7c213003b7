-- What the collector took out of the database and storage still holds.
--
-- A row is written in the transaction that deletes the last row of a blob and goes when storage has
-- confirmed that the object is gone. Losing a row leaks bytes; it never loses any.
create table quayhand_tombstone (
    id          bigint      generated always as identity,
    location_id integer     not null,
    -- The 32 bytes of a well-formed sha256 digest ...
    digest      bytea,
    -- ... or whatever else the registry had as a digest: such an object is kept and reported.
    digest_text text,
    -- Only for objects on the old path `sharedimages/<uuid>/layer`.
    legacy_uuid text,
    created_at  timestamptz not null default clock_timestamp(),
    constraint quayhand_tombstone_pk primary key (id),
    constraint quayhand_tombstone_one_digest check ((digest is null) <> (digest_text is null)),
    constraint quayhand_tombstone_sha256 check (octet_length(digest) = 32)
);
create index quayhand_tombstone_created_at on quayhand_tombstone (created_at);
create index quayhand_tombstone_digest on quayhand_tombstone (digest);
