//! Ids of the rows that a registry's tables refer to by name.

use std::collections::HashMap;

use tokio_postgres::Client;

use crate::{TestkitError, error::database_error};

/// The ids that the generator writes; they differ from one database to the next.
#[derive(Debug)]
pub(super) struct EnumIds {
    /// Visibility `public`.
    pub(super) public: i64,
    /// Visibility `private`.
    pub(super) private: i64,
    /// Repository kind `image`.
    pub(super) image_repository: i64,
    /// Tag kind `tag`.
    pub(super) tag: i64,
    /// Repository roles: admin, write, read.
    pub(super) roles: [i64; 3],
    /// Team roles: admin, creator, member.
    pub(super) team_roles: [i64; 3],
    /// Media type of label values.
    pub(super) plain_text: i64,
    /// Media type of images.
    pub(super) image: i64,
    /// Media type of lists of images.
    pub(super) image_index: i64,
    /// Label source `manifest`.
    pub(super) manifest_label: i64,
    /// The storage locations asked for, in that order.
    pub(super) locations: Vec<i64>,
}

impl EnumIds {
    /// Reads the ids, after adding storage locations that the database does not have.
    ///
    /// # Errors
    /// When the database has no registry schema, or its enum rows are missing.
    pub(super) async fn read(
        client: &Client,
        database: &str,
        locations: &[String],
    ) -> Result<Self, TestkitError> {
        add_locations(client, database, locations).await?;
        let names = Names::read(client, database).await?;
        let location = |name: &String| names.id("imagestoragelocation", name);
        Ok(Self {
            public: names.id("visibility", "public")?,
            private: names.id("visibility", "private")?,
            image_repository: names.id("repositorykind", "image")?,
            tag: names.id("tagkind", "tag")?,
            roles: names.three("role", ["admin", "write", "read"])?,
            team_roles: names.three("teamrole", ["admin", "creator", "member"])?,
            plain_text: names.id("mediatype", "text/plain")?,
            image: names.id("mediatype", IMAGE)?,
            image_index: names.id("mediatype", IMAGE_INDEX)?,
            manifest_label: names.id("labelsourcetype", "manifest")?,
            locations: locations.iter().map(location).collect::<Result<_, _>>()?,
        })
    }
}

/// The media type of an image's manifest.
pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of a list of images.
pub(super) const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The tables whose rows are looked up.
const TABLES: [&str; 8] = [
    "imagestoragelocation",
    "labelsourcetype",
    "mediatype",
    "repositorykind",
    "role",
    "tagkind",
    "teamrole",
    "visibility",
];

/// All names of the enum tables.
struct Names {
    database: String,
    ids: HashMap<(String, String), i64>,
}

impl Names {
    async fn read(client: &Client, database: &str) -> Result<Self, TestkitError> {
        let selects =
            TABLES.map(|table| format!("select '{table}', name, id::bigint from {table}"));
        let rows = client.query(&selects.join(" union all "), &[]).await;
        let rows = rows.map_err(database_error("read the enum tables", database))?;
        let ids = rows
            .iter()
            .map(|row| ((row.get(0), row.get(1)), row.get(2)));
        Ok(Self {
            database: database.to_owned(),
            ids: ids.collect(),
        })
    }

    fn id(&self, table: &str, name: &str) -> Result<i64, TestkitError> {
        let id = self.ids.get(&(table.to_owned(), name.to_owned()));
        id.copied().ok_or_else(|| TestkitError::BadInput {
            what: format!("table `{table}` of database `{}`", self.database),
            reason: format!("it has no row `{name}`; load the registry schema with its enum rows"),
        })
    }

    fn three(&self, table: &str, names: [&str; 3]) -> Result<[i64; 3], TestkitError> {
        let [first, second, third] = names;
        Ok([
            self.id(table, first)?,
            self.id(table, second)?,
            self.id(table, third)?,
        ])
    }
}

/// Adds the storage locations that the database does not have yet.
async fn add_locations(
    client: &Client,
    database: &str,
    locations: &[String],
) -> Result<(), TestkitError> {
    const ADD: &str = "insert into imagestoragelocation (name) select name from unnest($1::text[]) \
        name where name not in (select name from imagestoragelocation)";
    let outcome = client.execute(ADD, &[&locations]).await;
    let failed = database_error("add the storage locations", database);
    outcome.map(|_count| ()).map_err(failed)
}
