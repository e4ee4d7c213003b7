//! What may be wrong with the servers that the settings lead to.

use super::{BLOB_GC, COLLECT, Case};

const NO_REDIS: (&str, &str) = ("QUAYHAND_REDIS_URL", "redis://127.0.0.1:1/0");
const WRONG_REDIS: (&str, &str) = ("QUAYHAND_REDIS_URL", "redis://:hidden@127.0.0.1:{redis}/0");
const QUEUES: &[&str] = &["queue", "list"];

const fn case(
    what: &'static str,
    environment: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
    exit: i32,
    says: &'static [&'static str],
) -> Case {
    Case {
        what,
        file: "",
        environment,
        arguments,
        exit,
        says,
    }
}

pub(super) const CASES: &[Case] = &[
    case(
        "a database that does not answer",
        &[(
            "QUAYHAND_DATABASE_URL",
            "postgresql://quay:hidden@127.0.0.1:1/registry",
        )],
        COLLECT,
        4,
        &["127.0.0.1:1", "registry", "refused"],
    ),
    case(
        "a wrong password",
        &[(
            "QUAYHAND_DATABASE_URL",
            "postgresql://quayhand:hidden@127.0.0.1:{port}/{database}",
        )],
        COLLECT,
        4,
        &["127.0.0.1:{port}", "{database}", "password"],
    ),
    case(
        "a database that does not exist",
        &[(
            "QUAYHAND_DATABASE_URL",
            "postgresql://quayhand:quayhand@127.0.0.1:{port}/no_such_database",
        )],
        COLLECT,
        4,
        &["127.0.0.1:{port}", "no_such_database", "does not exist"],
    ),
    case(
        "no Redis at all",
        &[],
        QUEUES,
        3,
        &["no Redis", "redis.queue_url", "QUAYHAND_REDIS_URL"],
    ),
    case(
        "a Redis that does not answer",
        &[NO_REDIS],
        QUEUES,
        5,
        &["Redis at `127.0.0.1:1`", "does not answer", "URL"],
    ),
    case(
        "a sweep that has nowhere to put its finds",
        &[NO_REDIS],
        &["job", "run", "tag_expiry_sweep"],
        5,
        &["Redis at `127.0.0.1:1`", "does not answer", "URL"],
    ),
    case(
        "a wrong password of Redis",
        &[WRONG_REDIS],
        QUEUES,
        5,
        &["Redis at `127.0.0.1:{redis}`", "password", "URL"],
    ),
];

pub(super) const LOCKS: &[Case] = &[
    case(
        "a Redis for locks that does not answer",
        &[NO_REDIS],
        BLOB_GC,
        5,
        &["Redis at `127.0.0.1:1`", "does not answer", "URL"],
    ),
    case(
        "a wrong password of the Redis for locks",
        &[WRONG_REDIS],
        BLOB_GC,
        5,
        &["Redis at `127.0.0.1:{redis}`", "password", "URL"],
    ),
];

pub(super) const EMPTY: &[Case] = &[case(
    "an empty database",
    &[],
    COLLECT,
    7,
    &["an empty database", "`quayhand migrate up`"],
)];

pub(super) const FOREIGN: &[Case] = &[
    case(
        "somebody else's database",
        &[],
        COLLECT,
        7,
        &[
            "neither Quay's database nor ours",
            "`orders`",
            "check the database name",
        ],
    ),
    case(
        "tables for somebody else's database",
        &[],
        &["migrate", "up"],
        7,
        &["neither Quay's database nor ours", "`orders`"],
    ),
];

pub(super) const UNMIGRATED: &[Case] = &[
    case(
        "a Quay's database without our tables",
        &[],
        COLLECT,
        7,
        &["quayhand_tombstone", "`quayhand migrate up`"],
    ),
    case(
        "a registry schema over a Quay's",
        &[],
        &["migrate", "up", "--set", "registry"],
        7,
        &["Quay", "registry"],
    ),
];
