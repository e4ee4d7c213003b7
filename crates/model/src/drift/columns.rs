//! The columns that our statements name: facts of a Quay database at revision 9fa37f66a9b6, and
//! of our own migrations.
//!
//! Whoever writes a statement that reads or writes a column adds it to [`USED`].

/// A table whose columns our statements name.
pub(super) struct Used {
    /// Name of the table.
    pub(super) table: &'static str,
    /// The columns, each with its type as the server writes it, without a length.
    pub(super) columns: &'static [(&'static str, &'static str)],
}

pub(super) const INT: &str = "integer";
const BIGINT: &str = "bigint";
const BOOL: &str = "boolean";
const TEXT: &str = "text";
pub(super) const VARCHAR: &str = "character varying";
pub(super) const TIMESTAMP: &str = "timestamp without time zone";
const SMALLINT: &str = "smallint";
const JSON: &str = "json";
const BYTEA: &str = "bytea";
const TIMESTAMPTZ: &str = "timestamp with time zone";

/// The columns that our statements name, those of our own tables included.
pub(super) const USED: &[Used] = &[
    Used {
        table: "user",
        columns: &[
            ("id", INT),
            ("username", VARCHAR),
            ("organization", BOOL),
            ("robot", BOOL),
            ("enabled", BOOL),
            ("removed_tag_expiration_s", BIGINT),
        ],
    },
    Used {
        table: "team",
        columns: &[("id", INT), ("organization_id", INT), ("role_id", INT)],
    },
    Used {
        table: "teammember",
        columns: &[("user_id", INT), ("team_id", INT)],
    },
    names("teamrole"),
    names("role"),
    names("visibility"),
    Used {
        table: "repositorypermission",
        columns: &[
            ("team_id", INT),
            ("user_id", INT),
            ("repository_id", INT),
            ("role_id", INT),
        ],
    },
    Used {
        table: "repository",
        columns: &[
            ("id", INT),
            ("namespace_user_id", INT),
            ("name", VARCHAR),
            ("visibility_id", INT),
            ("state", INT),
        ],
    },
    Used {
        table: "tag",
        columns: &[
            ("id", INT),
            ("name", VARCHAR),
            ("repository_id", INT),
            ("manifest_id", INT),
            ("lifetime_end_ms", BIGINT),
            ("linked_tag_id", INT),
            ("immutable", BOOL),
        ],
    },
    Used {
        table: "tagpullstatistics",
        columns: &[("id", INT), ("repository_id", INT), ("tag_name", VARCHAR)],
    },
    Used {
        table: "tagnotificationsuccess",
        columns: &[("id", INT), ("tag_id", INT)],
    },
    Used {
        table: "manifest",
        columns: &[
            ("id", INT),
            ("repository_id", INT),
            ("digest", VARCHAR),
            ("subject", VARCHAR),
        ],
    },
    Used {
        table: "manifestblob",
        columns: &[
            ("id", BIGINT),
            ("repository_id", INT),
            ("manifest_id", INT),
            ("blob_id", INT),
        ],
    },
    Used {
        table: "manifestchild",
        columns: &[
            ("id", INT),
            ("repository_id", INT),
            ("manifest_id", INT),
            ("child_manifest_id", INT),
        ],
    },
    Used {
        table: "manifestlabel",
        columns: &[
            ("id", INT),
            ("repository_id", INT),
            ("manifest_id", INT),
            ("label_id", INT),
        ],
    },
    Used {
        table: "label",
        columns: &[("id", INT)],
    },
    Used {
        table: "manifestsecuritystatus",
        columns: &[("id", INT), ("manifest_id", INT), ("repository_id", INT)],
    },
    Used {
        table: "manifestpullstatistics",
        columns: &[
            ("id", INT),
            ("repository_id", INT),
            ("manifest_digest", VARCHAR),
        ],
    },
    Used {
        table: "imagestorage",
        columns: &[
            ("id", INT),
            ("uuid", VARCHAR),
            ("cas_path", BOOL),
            ("content_checksum", VARCHAR),
            ("image_size", BIGINT),
        ],
    },
    Used {
        table: "imagestorageplacement",
        columns: &[("id", INT), ("storage_id", INT), ("location_id", INT)],
    },
    Used {
        table: "imagestoragesignature",
        columns: &[("id", INT), ("storage_id", INT)],
    },
    names("imagestoragelocation"),
    Used {
        table: "uploadedblob",
        columns: &[
            ("id", BIGINT),
            ("repository_id", INT),
            ("blob_id", INT),
            ("expires_at", TIMESTAMP),
        ],
    },
    Used {
        table: "quotanamespacesize",
        columns: &[
            ("id", INT),
            ("namespace_user_id", INT),
            ("size_bytes", BIGINT),
            ("backfill_start_ms", BIGINT),
            ("backfill_complete", BOOL),
        ],
    },
    Used {
        table: "quotarepositorysize",
        columns: &[
            ("id", INT),
            ("repository_id", INT),
            ("size_bytes", BIGINT),
            ("backfill_start_ms", BIGINT),
            ("backfill_complete", BOOL),
        ],
    },
    Used {
        table: "blobupload",
        columns: &[
            ("id", INT),
            ("uuid", VARCHAR),
            ("location_id", INT),
            ("storage_metadata", TEXT),
            ("created", TIMESTAMP),
        ],
    },
    Used {
        table: "appspecificauthtoken",
        columns: &[("id", INT), ("expiration", TIMESTAMP)],
    },
    Used {
        table: "proxycacheconfig",
        columns: &[("organization_id", INT)],
    },
    Used {
        table: "quayhand_tombstone",
        columns: &[
            ("id", BIGINT),
            ("location_id", INT),
            ("digest", BYTEA),
            ("digest_text", TEXT),
            ("legacy_uuid", TEXT),
            ("created_at", TIMESTAMPTZ),
        ],
    },
    Used {
        table: "quayhand_removed",
        columns: &[
            ("id", BIGINT),
            ("location_id", INT),
            ("digest", BYTEA),
            ("removed_at", TIMESTAMPTZ),
            ("look_at", TIMESTAMPTZ),
        ],
    },
    Used {
        table: "quayhand_recheck",
        columns: &[
            ("kind", SMALLINT),
            ("object_id", BIGINT),
            ("not_before", TIMESTAMPTZ),
        ],
    },
    Used {
        table: "quayhand_total_change",
        columns: &[
            ("id", BIGINT),
            ("kind", SMALLINT),
            ("owner_id", BIGINT),
            ("freed_bytes", BIGINT),
            ("counted_from_ms", BIGINT),
            ("created_at", TIMESTAMPTZ),
        ],
    },
    Used {
        table: "quayhand_sighting",
        columns: &[
            ("kind", SMALLINT),
            ("object_id", BIGINT),
            ("location", TEXT),
            ("checksum", TEXT),
            ("first_seen", TIMESTAMPTZ),
            ("last_seen", TIMESTAMPTZ),
        ],
    },
    Used {
        table: "quayhand_schedule",
        columns: &[
            ("entry", TEXT),
            ("tick", TIMESTAMPTZ),
            ("state", TEXT),
            ("claimed_at", TIMESTAMPTZ),
        ],
    },
    Used {
        table: "quayhand_schedule_entry",
        columns: &[
            ("entry", TEXT),
            ("is_paused", BOOL),
            ("changed_at", TIMESTAMPTZ),
            ("changed_by", TEXT),
            ("why", TEXT),
        ],
    },
    Used {
        table: "quayhand_pause",
        columns: &[
            ("queue", TEXT),
            ("target", TEXT),
            ("paused_by", TEXT),
            ("why", TEXT),
            ("paused_at", TIMESTAMPTZ),
        ],
    },
    Used {
        table: "quayhand_outbox",
        columns: &[
            ("seq", BIGINT),
            ("job_id", TEXT),
            ("kind", TEXT),
            ("version", INT),
            ("payload", JSON),
            ("tenant", TEXT),
            ("priority", SMALLINT),
            ("trace", TEXT),
            ("due_at", TIMESTAMPTZ),
            ("created_at", TIMESTAMPTZ),
            ("relayed_at", TIMESTAMPTZ),
            ("relays", INT),
            ("dead_at", TIMESTAMPTZ),
            ("reason", TEXT),
        ],
    },
    Used {
        table: "quayhand_permission",
        columns: &[
            ("user_id", BIGINT),
            ("repository_id", BIGINT),
            ("role", SMALLINT),
        ],
    },
    Used {
        table: "quayhand_namespace_permission",
        columns: &[
            ("user_id", BIGINT),
            ("namespace_id", BIGINT),
            ("role", SMALLINT),
        ],
    },
];

/// Describes a table of fixed names, which are looked up by name.
const fn names(table: &'static str) -> Used {
    Used {
        table,
        columns: &[("id", INT), ("name", VARCHAR)],
    }
}
