-- What operators paused in the queues, with who, when and why: the record of it. Workers go by what
-- Redis holds; the daemon puts back there what Redis lost, before it enqueues anything.
create table quayhand_pause (
    queue     text        not null,
    -- `queue`, `kind:..` or `tenant:..`.
    target    text        not null,
    paused_by text        not null default '',
    why       text        not null default '',
    paused_at timestamptz not null default clock_timestamp(),
    constraint quayhand_pause_pk primary key (queue, target),
    constraint quayhand_pause_target check (
        target = 'queue' or target ~ '^(kind|tenant):.' and octet_length(target) <= 519),
    constraint quayhand_pause_fields check (
        greatest(octet_length(queue), octet_length(paused_by), octet_length(why)) <= 512)
);

-- The same of a schedule: who paused it last, and why. Empty once it was resumed.
alter table quayhand_schedule_entry
    add column changed_by text not null default '',
    add column why        text not null default '';
