//! What an operator may mistype. All are wrong usage, exit code 2.

use super::Case;

const fn case(
    what: &'static str,
    arguments: &'static [&'static str],
    says: &'static [&'static str],
) -> Case {
    Case {
        what,
        file: "",
        environment: &[],
        arguments,
        exit: 2,
        says,
    }
}

pub(super) const CASES: &[Case] = &[
    case(
        "a kind with a typing error",
        &["job", "run", "tag_expire", "--all"],
        &["`tag_expire`", "did you mean `tag_expiry`?"],
    ),
    case(
        "a kind to explain with a typing error",
        &["job", "show", "blob_cg"],
        &["`blob_cg`", "did you mean `blob_gc`?"],
    ),
    case(
        "a kind like none that there is",
        &["job", "run", "zzz"],
        &["`zzz` (the kinds are: blob_gc, "],
    ),
    case(
        "a payload that is no JSON",
        &["job", "run", "tag_expiry", "{\"repository_ids\": [1}"],
        &[
            "payload of `tag_expiry`",
            "line 1 column",
            "quayhand job show tag_expiry",
        ],
    ),
    case(
        "a payload of another shape",
        &["job", "run", "tag_expiry", "{\"repository_ids\": \"17\"}"],
        &["payload of `tag_expiry`", "expected a sequence"],
    ),
    case(
        "a payload with a field of its own",
        &["job", "run", "tag_expiry", "{\"repositories\": [17]}"],
        &["`repositories`", "expected `repository_ids`"],
    ),
    case(
        "nothing to work on",
        &["job", "run", "tag_expiry"],
        &[
            "`tag_expiry`",
            "--repository",
            "--all",
            "quayhand job show tag_expiry",
        ],
    ),
    case(
        "a repository that is not there",
        &["job", "run", "tag_expiry", "--repository", "nobody/nothing"],
        &["no repository `nobody/nothing`"],
    ),
    case(
        "a repository without its namespace",
        &["job", "run", "tag_expiry", "--repository", "nothing"],
        &["`nothing`", "namespace/name"],
    ),
    case(
        "a repository for a kind that is about none",
        &["job", "run", "blob_gc", "--repository", "nobody/nothing"],
        &["`blob_gc` is not about one repository"],
    ),
    case(
        "everything of a kind that has no such run",
        &["job", "run", "tag_expiry_sweep", "--all"],
        &["`tag_expiry_sweep` has no --all"],
    ),
    case(
        "everything and one thing",
        &["job", "run", "tag_expiry", "{}", "--all"],
        &["cannot be used with", "--all"],
    ),
    case(
        "a time to come",
        &[
            "job",
            "run",
            "tag_expiry",
            "--all",
            "--as-of",
            "2150-01-01T00:00:00Z",
        ],
        &["--as-of", "future", "--dry-run"],
    ),
    case(
        "a time that is none",
        &["job", "run", "tag_expiry", "--all", "--as-of", "tomorrow"],
        &["--as-of", "tomorrow", "RFC3339", "2026-01-31T08:00:00Z"],
    ),
    case(
        "an audit that cannot be written",
        &[
            "job",
            "run",
            "blob_gc",
            "--all",
            "--audit",
            "/nowhere/audit.jsonl",
        ],
        &[
            "`/nowhere/audit.jsonl`",
            "No such file",
            "nothing was removed",
        ],
    ),
    case(
        "a queue that is none",
        &["queue", "show", "garbage"],
        &["no queue is named `garbage`", "gc"],
    ),
    case("a verb that is none", &["jobs", "list"], &["jobs", "job"]),
];
