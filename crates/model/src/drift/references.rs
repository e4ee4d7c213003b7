//! The foreign keys onto the rows that jobs delete: facts of a Quay database at revision
//! 9fa37f66a9b6.
//!
//! Whoever deletes from a table adds it to [`REFERENCED`].

/// A table that jobs delete from, and the columns whose foreign keys lead to it.
pub(super) struct Referenced {
    /// Name of the table.
    pub(super) table: &'static str,
    /// `table.column` of each known reference, in order.
    pub(super) by: &'static [&'static str],
}

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

/// Describes a table that jobs delete from and that no foreign key leads to.
pub(super) const fn nothing_refers_to(table: &'static str) -> Referenced {
    Referenced { table, by: &[] }
}
