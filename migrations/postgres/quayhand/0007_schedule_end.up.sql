-- How the job of a tick ended, so that a tick is enqueued again when Redis lost its job and left out
-- while the one before it still runs; and which schedules are paused.
alter table quayhand_schedule drop constraint quayhand_schedule_state;
-- Nobody noted how they ended; were they left open, they would run again.
update quayhand_schedule set state = 'done' where state = 'enqueued';
alter table quayhand_schedule add constraint quayhand_schedule_state
    check (state in ('claimed', 'enqueued', 'done', 'dead', 'skipped'));

create table quayhand_schedule_entry (
    entry      text        not null,
    is_paused  boolean     not null,
    -- Ticks up to this moment are not caught up with.
    changed_at timestamptz not null default clock_timestamp(),
    constraint quayhand_schedule_entry_pk primary key (entry)
);
