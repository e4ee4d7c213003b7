-- What looked leaked when a sweep came by, and since when. A leak is taken only when a later sweep
-- sees it again.
--
-- Losing a row makes a leak wait longer; it never makes anything go.
create table quayhand_sighting (
    -- 1 manifest, 2 blob, 3 label: the registry's row; 4: an object in storage
    kind       smallint    not null,
    -- Of a row its id, else 0.
    object_id  bigint      not null default 0,
    -- Of an object its location and its checksum, else empty.
    location   text        not null default '',
    checksum   text        not null default '',
    first_seen timestamptz not null,
    last_seen  timestamptz not null,
    constraint quayhand_sighting_pk primary key (kind, object_id, location, checksum),
    constraint quayhand_sighting_kind check (kind in (1, 2, 3, 4))
);
