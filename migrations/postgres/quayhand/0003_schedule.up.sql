-- Which tick of a schedule some host has taken, so that many hosts enqueue one job and no host leads.
create table quayhand_schedule (
    entry      text        not null,
    tick       timestamptz not null,
    state      text        not null,
    claimed_at timestamptz not null default clock_timestamp(),
    constraint quayhand_schedule_pk primary key (entry, tick),
    constraint quayhand_schedule_state check (state in ('claimed', 'enqueued'))
);
