//! What may be wrong with a setting, wherever it stands.

use super::{BLOB_GC, Case};

const fn file(what: &'static str, file: &'static str, says: &'static [&'static str]) -> Case {
    Case {
        what,
        file,
        environment: &[],
        arguments: BLOB_GC,
        exit: 3,
        says,
    }
}

const fn variables(
    what: &'static str,
    environment: &'static [(&'static str, &'static str)],
    exit: i32,
    says: &'static [&'static str],
) -> Case {
    Case {
        what,
        file: "",
        environment,
        arguments: BLOB_GC,
        exit,
        says,
    }
}

pub(super) const CASES: &[Case] = &[
    file(
        "an unknown setting",
        "[gc]\nbatch_tag = 400\n",
        &[
            "quayhand.toml:2",
            "`gc.batch_tag`",
            "did you mean `gc.batch_tags`?",
        ],
    ),
    file(
        "a setting that would weaken a guard",
        "[gc]\nblob_hold = \"1m\"\n",
        &["quayhand.toml:2", "`gc.blob_hold`", "at most 4s"],
    ),
    file(
        "a file that is no TOML",
        "gc\n",
        &["quayhand.toml", "not TOML"],
    ),
    variables(
        "no database at all",
        &[],
        3,
        &[
            "no database is configured",
            "QUAYHAND_DATABASE_URL",
            "DB_URI",
        ],
    ),
    variables(
        "a database of another make",
        &[("QUAYHAND_DATABASE_URL", "mysql://user:hidden@host/registry")],
        3,
        &["QUAYHAND_DATABASE_URL", "postgresql://"],
    ),
    variables(
        "a variable that is set to nothing",
        &[("QUAYHAND_DATABASE_URL", "")],
        3,
        &["QUAYHAND_DATABASE_URL", "empty"],
    ),
    variables(
        "a Redis of another make",
        &[
            ("QUAYHAND_DATABASE_URL", "{url}"),
            ("QUAYHAND_REDIS_URL", "http://:hidden@host"),
        ],
        3,
        &["QUAYHAND_REDIS_URL", "`redis://`"],
    ),
    variables(
        "a storage that is no JSON",
        &[
            ("QUAYHAND_DATABASE_URL", "{url}"),
            ("QUAYHAND_STORAGE", "{\"local\": "),
        ],
        3,
        &["QUAYHAND_STORAGE", "not JSON"],
    ),
    variables(
        "a storage of another make",
        &[
            ("QUAYHAND_DATABASE_URL", "{url}"),
            ("QUAYHAND_STORAGE", "{\"x\": [\"Tape\", {}]}"),
        ],
        3,
        &["`x`", "`Tape`", "LocalStorage"],
    ),
    variables(
        "no storage at all",
        &[("QUAYHAND_DATABASE_URL", "{url}")],
        8,
        &[
            "no storage is configured",
            "QUAYHAND_STORAGE",
            "DISTRIBUTED_STORAGE_CONFIG",
        ],
    ),
];
