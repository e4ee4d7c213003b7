//! The state of a registry while it is generated: its tables so far, and what later rows refer to.

use std::{collections::HashSet, sync::mpsc::SyncSender};

use super::{
    RegistryCounts, RegistrySpec,
    blobs::{Blob, Object},
    enums::EnumIds,
    manifests::Image,
    namespaces::Namespace,
    random::Random,
    rows::Table,
};

/// Milliseconds of an hour.
pub(super) const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// Declares the tables in the order in which their foreign keys allow to fill them.
macro_rules! tables {
    ($($field:ident: $columns:literal,)*) => {
        /// The tables that are filled; `id` comes before the columns named here.
        #[derive(Debug)]
        pub(super) struct Tables {
            $(pub(super) $field: Table,)*
        }

        impl Tables {
            /// The tables' names, in the order of their foreign keys.
            pub(super) const NAMES: &'static [&'static str] = &[$(stringify!($field),)*];

            /// Makes empty tables whose first ids are given, in the order of [`Self::NAMES`].
            pub(super) fn new(first_ids: &[i64]) -> Self {
                let mut ids = first_ids.iter().copied();
                Self {
                    $($field: Table {
                        name: stringify!($field),
                        columns: $columns,
                        next_id: ids.next().unwrap_or(1),
                        rows: 0,
                        text: Vec::new(),
                    },)*
                }
            }

            /// Takes the tables apart, in the order of their foreign keys.
            pub(super) fn into_vec(self) -> Vec<Table> {
                vec![$(self.$field,)*]
            }
        }
    };
}

tables! {
    user: "uuid,username,password_hash,email,verified,stripe_id,organization,robot,invoice_email,\
        invalid_login_attempts,last_invalid_login,removed_tag_expiration_s,enabled,\
        invoice_email_address,company,family_name,given_name,location,maximum_queued_builds_count,\
        creation_date,last_accessed",
    robotaccountmetadata: "robot_account_id,description,unstructured_json",
    robotaccounttoken: "robot_account_id,token,fully_migrated",
    team: "name,organization_id,role_id,description",
    teammember: "user_id,team_id",
    quotanamespacesize: "namespace_user_id,size_bytes,backfill_start_ms,backfill_complete",
    repository: "namespace_user_id,name,visibility_id,description,badge_token,kind_id,\
        trust_enabled,state",
    repositorypermission: "team_id,user_id,repository_id,role_id",
    repositoryactioncount: "repository_id,count,date",
    repositorysearchscore: "repository_id,score,last_updated",
    quotarepositorysize: "repository_id,size_bytes,backfill_start_ms,backfill_complete",
    imagestorage: "uuid,image_size,uncompressed_size,uploading,cas_path,content_checksum",
    imagestorageplacement: "storage_id,location_id",
    manifest: "repository_id,digest,media_type_id,manifest_bytes,config_media_type,\
        layers_compressed_size,subject,subject_backfilled,artifact_type,artifact_type_backfilled",
    manifestchild: "repository_id,manifest_id,child_manifest_id",
    manifestblob: "repository_id,manifest_id,blob_id",
    label: "uuid,key,value,media_type_id,source_type_id",
    manifestlabel: "repository_id,manifest_id,label_id",
    manifestsecuritystatus: "manifest_id,repository_id,index_status,error_json,last_indexed,\
        indexer_hash,indexer_version,metadata_json",
    manifestpullstatistics: "repository_id,manifest_digest,manifest_pull_count,\
        last_manifest_pull_date",
    tag: "name,repository_id,manifest_id,lifetime_start_ms,lifetime_end_ms,hidden,reversion,\
        tag_kind_id,linked_tag_id,immutable",
    tagpullstatistics: "repository_id,tag_name,tag_pull_count,last_tag_pull_date,\
        current_manifest_digest",
    uploadedblob: "repository_id,blob_id,uploaded_at,expires_at",
}

/// Everything that generating one registry needs at hand.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) spec: RegistrySpec,
    pub(super) enums: EnumIds,
    pub(super) random: Random,
    /// The database's time when generating began, in epoch milliseconds.
    pub(super) now_ms: i64,
    pub(super) tables: Tables,
    pub(super) counts: RegistryCounts,
    pub(super) namespaces: Vec<Namespace>,
    /// Ids of users that can be made members and be granted something.
    pub(super) people: Vec<i64>,
    pub(super) blobs: Vec<Blob>,
    /// Where the objects go that storage should have; `None` when nobody writes them.
    pub(super) objects: Option<SyncSender<Object>>,
    /// Indexes into `blobs` of the layers that the whole registry shares.
    pub(super) base_layers: Vec<usize>,
    /// Images of earlier repositories that a later one may have as well.
    pub(super) images_to_copy: Vec<Image>,
}

/// What is known of the repository that is being filled.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) id: i64,
    /// How long its namespace lets a tag be restored, in milliseconds.
    pub(super) window_ms: i64,
    /// Indexes into `Builder::blobs` of the layers that its images begin with.
    pub(super) base: Vec<usize>,
    /// Indexes of layers of its own that its images may share.
    pub(super) layers: Vec<usize>,
    /// Indexes of all blobs that its manifests hold.
    pub(super) blobs: HashSet<usize>,
    /// Digests of its manifests.
    pub(super) digests: HashSet<String>,
}
