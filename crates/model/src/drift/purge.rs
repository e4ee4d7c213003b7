//! What the purge of repositories and namespaces uses, besides what the collector does: facts
//! of a Quay database at revision 9fa37f66a9b6.
use super::{
    columns::{INT, TIMESTAMP, Used, VARCHAR},
    references::{Referenced, nothing_refers_to},
};

/// The columns that the statements of a purge name.
pub(super) const USED: &[Used] = &[
    Used {
        table: "accesstoken",
        columns: &[("id", INT), ("repository_id", INT)],
    },
    Used {
        table: "apprtag",
        columns: &[("id", INT), ("repository_id", INT), ("linked_tag_id", INT)],
    },
    Used {
        table: "appspecificauthtoken",
        columns: &[("id", INT), ("user_id", INT)],
    },
    Used {
        table: "autoprunetaskstatus",
        columns: &[("id", INT), ("namespace_id", INT)],
    },
    Used {
        table: "blobupload",
        columns: &[("id", INT), ("repository_id", INT)],
    },
    Used {
        table: "deletednamespace",
        columns: &[
            ("id", INT),
            ("namespace_id", INT),
            ("marked", TIMESTAMP),
            ("original_username", VARCHAR),
            ("queue_id", VARCHAR),
        ],
    },
    Used {
        table: "deletedrepository",
        columns: &[("id", INT), ("repository_id", INT)],
    },
    Used {
        table: "emailconfirmation",
        columns: &[("id", INT), ("user_id", INT)],
    },
    Used {
        table: "federatedlogin",
        columns: &[("id", INT), ("user_id", INT)],
    },
    Used {
        table: "manifestpullstatistics",
        columns: &[("id", INT), ("repository_id", INT)],
    },
    Used {
        table: "namespaceautoprunepolicy",
        columns: &[("id", INT), ("namespace_id", INT)],
    },
    Used {
        table: "namespaceimmutabilitypolicy",
        columns: &[("id", INT), ("namespace_id", INT)],
    },
    Used {
        table: "namespacenotification",
        columns: &[("id", INT), ("namespace_id", INT)],
    },
    Used {
        table: "notification",
        columns: &[("id", INT), ("target_id", INT)],
    },
    Used {
        table: "oauthaccesstoken",
        columns: &[
            ("id", INT),
            ("application_id", INT),
            ("authorized_user_id", INT),
        ],
    },
    Used {
        table: "oauthapplication",
        columns: &[("id", INT), ("organization_id", INT)],
    },
    Used {
        table: "oauthassignedtoken",
        columns: &[
            ("id", INT),
            ("application_id", INT),
            ("assigned_user_id", INT),
        ],
    },
    Used {
        table: "oauthauthorizationcode",
        columns: &[("id", INT), ("application_id", INT)],
    },
    Used {
        table: "organizationcontactemail",
        columns: &[("id", INT), ("organization_id", INT)],
    },
    Used {
        table: "organizationrhskus",
        columns: &[("id", INT), ("org_id", INT), ("user_id", INT)],
    },
    Used {
        table: "orgmirrorconfig",
        columns: &[
            ("id", INT),
            ("organization_id", INT),
            ("internal_robot_id", INT),
        ],
    },
    Used {
        table: "orgmirrorrepository",
        columns: &[
            ("id", INT),
            ("repository_id", INT),
            ("org_mirror_config_id", INT),
        ],
    },
    Used {
        table: "permissionprototype",
        columns: &[
            ("id", INT),
            ("delegate_team_id", INT),
            ("org_id", INT),
            ("activating_user_id", INT),
            ("delegate_user_id", INT),
        ],
    },
    Used {
        table: "proxycacheconfig",
        columns: &[("id", INT), ("organization_id", INT)],
    },
    Used {
        table: "queueitem",
        columns: &[
            ("id", INT),
            ("queue_name", VARCHAR),
            ("available_after", TIMESTAMP),
        ],
    },
    Used {
        table: "quotalimits",
        columns: &[("id", INT), ("quota_id", INT)],
    },
    Used {
        table: "quotanamespacesize",
        columns: &[("id", INT), ("namespace_user_id", INT)],
    },
    Used {
        table: "quotanotificationstate",
        columns: &[("id", INT), ("namespace_id", INT)],
    },
    Used {
        table: "quotarepositorysize",
        columns: &[("id", INT), ("repository_id", INT)],
    },
    Used {
        table: "redhatsubscriptions",
        columns: &[("id", INT), ("user_id", INT)],
    },
    Used {
        table: "repomirrorconfig",
        columns: &[
            ("id", INT),
            ("repository_id", INT),
            ("internal_robot_id", INT),
            ("root_rule_id", INT),
        ],
    },
    Used {
        table: "repomirrorrule",
        columns: &[
            ("id", INT),
            ("repository_id", INT),
            ("left_child_id", INT),
            ("right_child_id", INT),
        ],
    },
    Used {
        table: "repositoryactioncount",
        columns: &[("id", INT), ("repository_id", INT)],
    },
    Used {
        table: "repositoryauthorizedemail",
        columns: &[("id", INT), ("repository_id", INT)],
    },
    Used {
        table: "repositoryautoprunepolicy",
        columns: &[("id", INT), ("repository_id", INT), ("namespace_id", INT)],
    },
    Used {
        table: "repositorybuild",
        columns: &[
            ("id", INT),
            ("repository_id", INT),
            ("pull_robot_id", INT),
            ("trigger_id", INT),
        ],
    },
    Used {
        table: "repositorybuildtrigger",
        columns: &[
            ("id", INT),
            ("repository_id", INT),
            ("connected_user_id", INT),
            ("pull_robot_id", INT),
            ("write_token_id", INT),
        ],
    },
    Used {
        table: "repositoryimmutabilitypolicy",
        columns: &[("id", INT), ("repository_id", INT), ("namespace_id", INT)],
    },
    Used {
        table: "repositorynotification",
        columns: &[("id", INT), ("repository_id", INT)],
    },
    Used {
        table: "repositorypermission",
        columns: &[
            ("id", INT),
            ("repository_id", INT),
            ("team_id", INT),
            ("user_id", INT),
        ],
    },
    Used {
        table: "repositorysearchscore",
        columns: &[("id", INT), ("repository_id", INT)],
    },
    Used {
        table: "robotaccountmetadata",
        columns: &[("id", INT), ("robot_account_id", INT)],
    },
    Used {
        table: "robotaccounttoken",
        columns: &[("id", INT), ("robot_account_id", INT)],
    },
    Used {
        table: "servicekeyapproval",
        columns: &[("id", INT), ("approver_id", INT)],
    },
    Used {
        table: "star",
        columns: &[("id", INT), ("repository_id", INT), ("user_id", INT)],
    },
    Used {
        table: "tagnotificationsuccess",
        columns: &[("notification_id", INT)],
    },
    Used {
        table: "tagpullstatistics",
        columns: &[("id", INT), ("repository_id", INT)],
    },
    Used {
        table: "team",
        columns: &[("id", INT), ("organization_id", INT)],
    },
    Used {
        table: "teammember",
        columns: &[("id", INT), ("team_id", INT), ("user_id", INT)],
    },
    Used {
        table: "teammemberinvite",
        columns: &[
            ("id", INT),
            ("team_id", INT),
            ("user_id", INT),
            ("inviter_id", INT),
        ],
    },
    Used {
        table: "teamsync",
        columns: &[("id", INT), ("team_id", INT)],
    },
    Used {
        table: "user",
        columns: &[("creation_date", TIMESTAMP)],
    },
    Used {
        table: "userorganizationquota",
        columns: &[("id", INT), ("namespace_id", INT)],
    },
    Used {
        table: "userprompt",
        columns: &[("id", INT), ("user_id", INT)],
    },
    Used {
        table: "userregion",
        columns: &[("id", INT), ("user_id", INT)],
    },
];

/// The foreign keys onto the rows that a purge deletes.
pub(super) const REFERENCED: &[Referenced] = &[
    Referenced {
        table: "accesstoken",
        by: &[
            "repositorybuild.access_token_id",
            "repositorybuildtrigger.write_token_id",
        ],
    },
    Referenced {
        table: "apprtag",
        by: &["apprtag.linked_tag_id"],
    },
    nothing_refers_to("appspecificauthtoken"),
    nothing_refers_to("autoprunetaskstatus"),
    nothing_refers_to("blobupload"),
    nothing_refers_to("deletednamespace"),
    nothing_refers_to("deletedrepository"),
    nothing_refers_to("emailconfirmation"),
    nothing_refers_to("federatedlogin"),
    nothing_refers_to("namespaceautoprunepolicy"),
    nothing_refers_to("namespaceimmutabilitypolicy"),
    nothing_refers_to("namespacenotification"),
    nothing_refers_to("notification"),
    nothing_refers_to("oauthaccesstoken"),
    Referenced {
        table: "oauthapplication",
        by: &[
            "oauthaccesstoken.application_id",
            "oauthassignedtoken.application_id",
            "oauthauthorizationcode.application_id",
        ],
    },
    nothing_refers_to("oauthassignedtoken"),
    nothing_refers_to("oauthauthorizationcode"),
    nothing_refers_to("organizationcontactemail"),
    nothing_refers_to("organizationrhskus"),
    Referenced {
        table: "orgmirrorconfig",
        by: &["orgmirrorrepository.org_mirror_config_id"],
    },
    nothing_refers_to("orgmirrorrepository"),
    nothing_refers_to("permissionprototype"),
    nothing_refers_to("proxycacheconfig"),
    nothing_refers_to("queueitem"),
    nothing_refers_to("quotalimits"),
    nothing_refers_to("quotanamespacesize"),
    nothing_refers_to("quotanotificationstate"),
    nothing_refers_to("quotarepositorysize"),
    nothing_refers_to("redhatsubscriptions"),
    nothing_refers_to("repomirrorconfig"),
    Referenced {
        table: "repomirrorrule",
        by: &[
            "repomirrorconfig.root_rule_id",
            "repomirrorrule.left_child_id",
            "repomirrorrule.right_child_id",
        ],
    },
    nothing_refers_to("repositoryactioncount"),
    nothing_refers_to("repositoryauthorizedemail"),
    nothing_refers_to("repositoryautoprunepolicy"),
    nothing_refers_to("repositorybuild"),
    Referenced {
        table: "repositorybuildtrigger",
        by: &["repositorybuild.trigger_id"],
    },
    nothing_refers_to("repositoryimmutabilitypolicy"),
    Referenced {
        table: "repositorynotification",
        by: &["tagnotificationsuccess.notification_id"],
    },
    nothing_refers_to("repositorypermission"),
    nothing_refers_to("repositorysearchscore"),
    nothing_refers_to("robotaccountmetadata"),
    nothing_refers_to("robotaccounttoken"),
    nothing_refers_to("star"),
    Referenced {
        table: "team",
        by: &[
            "permissionprototype.delegate_team_id",
            "repositorypermission.team_id",
            "teammember.team_id",
            "teammemberinvite.team_id",
            "teamsync.team_id",
        ],
    },
    nothing_refers_to("teammember"),
    nothing_refers_to("teammemberinvite"),
    nothing_refers_to("teamsync"),
    Referenced {
        table: "userorganizationquota",
        by: &["quotalimits.quota_id"],
    },
    nothing_refers_to("userprompt"),
    nothing_refers_to("userregion"),
];
