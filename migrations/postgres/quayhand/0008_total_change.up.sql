-- Changes of size totals that somebody held when the content went, to be made later.
--
-- Written in the transaction that deleted the content, and only ever added to: nobody waits for a
-- total while holding content, and nobody waits here.
create table quayhand_total_change (
    id              bigint      generated always as identity,
    -- 1 repository, 2 namespace
    kind            smallint    not null,
    owner_id        bigint      not null,
    -- What the owner no longer holds; null resets the total, so that it is counted again.
    freed_bytes     bigint,
    -- The start of the count that `freed_bytes` is to be taken off; a later count has seen it.
    counted_from_ms bigint,
    created_at      timestamptz not null default clock_timestamp(),
    constraint quayhand_total_change_pk primary key (id),
    constraint quayhand_total_change_kind check (kind in (1, 2))
);
