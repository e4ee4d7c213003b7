//! What we know of the registry's schema: facts of a Quay database at revision 9fa37f66a9b6.
//!
//! Whoever writes a statement that reads or writes a column adds it to [`USED`]; whoever deletes
//! from a table adds that to [`REFERENCED`].

/// A table that jobs delete from, and the columns whose foreign keys lead to it.
pub(super) struct Referenced {
    /// Name of the table.
    pub(super) table: &'static str,
    /// `table.column` of each known reference, in order.
    pub(super) by: &'static [&'static str],
}

/// A table whose columns our statements name.
pub(super) struct Used {
    /// Name of the table.
    pub(super) table: &'static str,
    /// The columns, each with its type as the server writes it, without a length.
    pub(super) columns: &'static [(&'static str, &'static str)],
}

const INT: &str = "integer";
const BIGINT: &str = "bigint";
const BOOL: &str = "boolean";
const TEXT: &str = "text";
const VARCHAR: &str = "character varying";
const TIMESTAMP: &str = "timestamp without time zone";
const SMALLINT: &str = "smallint";
const BYTEA: &str = "bytea";
const TIMESTAMPTZ: &str = "timestamp with time zone";

/// The foreign keys that a delete has to respect. One that is not here would let a delete fail
/// or, with `on delete cascade`, take rows along that nobody looked at.
pub(super) const REFERENCED: &[Referenced] = &[
    Referenced {
        table: "tag",
        by: &["tag.linked_tag_id", "tagnotificationsuccess.tag_id"],
    },
    Referenced {
        table: "manifest",
        by: &[
            "manifestblob.manifest_id",
            "manifestchild.child_manifest_id",
            "manifestchild.manifest_id",
            "manifestlabel.manifest_id",
            "manifestsecuritystatus.manifest_id",
            "tag.manifest_id",
        ],
    },
    Referenced {
        table: "imagestorage",
        by: &[
            "imagestorageplacement.storage_id",
            "imagestoragesignature.storage_id",
            "manifestblob.blob_id",
            "uploadedblob.blob_id",
        ],
    },
    Referenced {
        table: "label",
        by: &["manifestlabel.label_id"],
    },
    nothing_refers_to("manifestblob"),
    nothing_refers_to("manifestchild"),
    nothing_refers_to("manifestlabel"),
    nothing_refers_to("manifestsecuritystatus"),
    nothing_refers_to("manifestpullstatistics"),
    nothing_refers_to("tagpullstatistics"),
    nothing_refers_to("tagnotificationsuccess"),
    nothing_refers_to("uploadedblob"),
    nothing_refers_to("imagestorageplacement"),
    nothing_refers_to("imagestoragesignature"),
    Referenced {
        table: "repository",
        by: &[
            "accesstoken.repository_id",
            "apprtag.repository_id",
            "blobupload.repository_id",
            "deletedrepository.repository_id",
            "manifest.repository_id",
            "manifestblob.repository_id",
            "manifestchild.repository_id",
            "manifestlabel.repository_id",
            "manifestpullstatistics.repository_id",
            "manifestsecuritystatus.repository_id",
            "orgmirrorrepository.repository_id",
            "quotarepositorysize.repository_id",
            "repomirrorconfig.repository_id",
            "repomirrorrule.repository_id",
            "repositoryactioncount.repository_id",
            "repositoryauthorizedemail.repository_id",
            "repositoryautoprunepolicy.repository_id",
            "repositorybuild.repository_id",
            "repositorybuildtrigger.repository_id",
            "repositoryimmutabilitypolicy.repository_id",
            "repositorynotification.repository_id",
            "repositorypermission.repository_id",
            "repositorysearchscore.repository_id",
            "star.repository_id",
            "tag.repository_id",
            "tagpullstatistics.repository_id",
            "uploadedblob.repository_id",
        ],
    },
    Referenced {
        table: "user",
        by: &[
            "appspecificauthtoken.user_id",
            "autoprunetaskstatus.namespace_id",
            "deletednamespace.namespace_id",
            "emailconfirmation.user_id",
            "federatedlogin.user_id",
            "namespaceautoprunepolicy.namespace_id",
            "namespaceimmutabilitypolicy.namespace_id",
            "namespacenotification.namespace_id",
            "notification.target_id",
            "oauthaccesstoken.authorized_user_id",
            "oauthapplication.organization_id",
            "oauthassignedtoken.assigned_user_id",
            "organizationcontactemail.organization_id",
            "organizationrhskus.org_id",
            "organizationrhskus.user_id",
            "orgmirrorconfig.internal_robot_id",
            "orgmirrorconfig.organization_id",
            "permissionprototype.activating_user_id",
            "permissionprototype.delegate_user_id",
            "permissionprototype.org_id",
            "proxycacheconfig.organization_id",
            "quotanamespacesize.namespace_user_id",
            "quotanotificationstate.namespace_id",
            "redhatsubscriptions.user_id",
            "repomirrorconfig.internal_robot_id",
            "repository.namespace_user_id",
            "repositoryautoprunepolicy.namespace_id",
            "repositorybuild.pull_robot_id",
            "repositorybuildtrigger.connected_user_id",
            "repositorybuildtrigger.pull_robot_id",
            "repositoryimmutabilitypolicy.namespace_id",
            "repositorypermission.user_id",
            "robotaccountmetadata.robot_account_id",
            "robotaccounttoken.robot_account_id",
            "star.user_id",
            "team.organization_id",
            "teammember.user_id",
            "teammemberinvite.inviter_id",
            "teammemberinvite.user_id",
            "userorganizationquota.namespace_id",
            "userprompt.user_id",
            "userregion.user_id",
        ],
    },
];

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
        columns: &[("repository_id", INT), ("tag_name", VARCHAR)],
    },
    Used {
        table: "tagnotificationsuccess",
        columns: &[("tag_id", INT)],
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
        columns: &[("manifest_id", INT), ("repository_id", INT)],
    },
    Used {
        table: "manifestpullstatistics",
        columns: &[("repository_id", INT), ("manifest_digest", VARCHAR)],
    },
    Used {
        table: "imagestorage",
        columns: &[
            ("id", INT),
            ("uuid", VARCHAR),
            ("cas_path", BOOL),
            ("content_checksum", VARCHAR),
        ],
    },
    Used {
        table: "imagestorageplacement",
        columns: &[("id", INT), ("storage_id", INT), ("location_id", INT)],
    },
    Used {
        table: "imagestoragesignature",
        columns: &[("storage_id", INT)],
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
        table: "quayhand_recheck",
        columns: &[
            ("kind", SMALLINT),
            ("object_id", BIGINT),
            ("not_before", TIMESTAMPTZ),
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

/// Describes a table that jobs delete from and that no foreign key leads to.
const fn nothing_refers_to(table: &'static str) -> Referenced {
    Referenced { table, by: &[] }
}

/// Describes a table of fixed names, which are looked up by name.
const fn names(table: &'static str) -> Used {
    Used {
        table,
        columns: &[("id", INT), ("name", VARCHAR)],
    }
}
