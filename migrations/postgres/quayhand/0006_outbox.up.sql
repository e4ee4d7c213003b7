-- Jobs that only their enqueuer knew, until they are done.
--
-- A row is written in the transaction of its cause, enqueued by every host that looks (the queue
-- knows its id and takes it once), and removed when the job is done. Losing Redis loses none.
create table quayhand_outbox (
    seq        bigint      generated always as identity,
    -- The job's id in the queue; the prefix tells a worker that the job has a row.
    job_id     text        not null default 'outbox:' || gen_random_uuid(),
    kind       text        not null,
    version    integer     not null default 1,
    -- JSON as it was written: a jsonb would change its bytes, and equal jobs are told by them.
    payload    json        not null,
    tenant     text        not null default '',
    priority   smallint    not null default 0,
    trace      text        not null default '',
    due_at     timestamptz not null default clock_timestamp(),
    created_at timestamptz not null default clock_timestamp(),
    -- When the job was first seen in the queue.
    relayed_at timestamptz,
    -- How often the job was put into the queue; more than once when Redis lost it.
    relays     integer     not null default 0,
    -- When the job was given up; such a row is relayed no more.
    dead_at    timestamptz,
    reason     text,
    constraint quayhand_outbox_pk primary key (seq),
    constraint quayhand_outbox_job_id unique (job_id),
    constraint quayhand_outbox_prefix check (job_id like 'outbox:%'),
    constraint quayhand_outbox_version check (version >= 0),
    constraint quayhand_outbox_priority check (priority between -128 and 127),
    -- What the queue takes at most.
    constraint quayhand_outbox_payload check (octet_length(payload::text) <= 262144),
    constraint quayhand_outbox_fields check (
        greatest(octet_length(job_id), octet_length(kind), octet_length(tenant),
                 octet_length(trace)) <= 512)
);
create index quayhand_outbox_dead_at on quayhand_outbox (dead_at) where dead_at is not null;
