-- What the collector had to leave because somebody else held it, to be looked at again.
--
-- Written in the transaction that skipped the object: its holder may still roll back, and then nothing
-- else would lead back to it.
create table quayhand_recheck (
    -- 1 manifest, 2 blob, 3 label
    kind       smallint    not null,
    object_id  bigint      not null,
    not_before timestamptz not null,
    constraint quayhand_recheck_pk primary key (kind, object_id),
    constraint quayhand_recheck_kind check (kind in (1, 2, 3))
);
create index quayhand_recheck_not_before on quayhand_recheck (not_before);
