//! Generating a registry into a database and a storage folder.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use futures::SinkExt as _;
use tokio_postgres::Client;

use super::{
    RegistryCounts, RegistrySpec,
    blobs::Object,
    builder::{Builder, Tables},
    enums::EnumIds,
    random::Random,
    rows::Table,
};
use crate::{PostgresServer, TestkitError, error::database_error, objects::write_object};

/// How much of a table is sent at once.
const CHUNK_BYTES: usize = 1 << 20;
/// How many objects may wait for the thread that writes them.
const WAITING_OBJECTS: usize = 100_000;

/// Generates a registry, loads it into a database that has a registry schema with its enum rows,
/// and returns what it made.
///
/// With a `root`, every object becomes a file of `<root>/<location name>/`, whose bytes have the
/// digest that the database names. Other rows of the database stay; tables are analyzed at the end.
///
/// # Errors
/// When the schema or an enum row is missing, a name is taken (see [`RegistrySpec::prefix`]), or a
/// file cannot be written.
pub async fn load(
    server: &PostgresServer,
    database: &str,
    spec: &RegistrySpec,
    root: Option<&Path>,
) -> Result<RegistryCounts, TestkitError> {
    let client = server.connect(database).await?;
    let (objects, writing) = start_writing(spec, root);
    let mut builder = prepare(&client, database, spec, objects).await?;
    // The objects' sender goes with the builder's end, and so the writer ends.
    let generated = on_a_thread(move || {
        builder.make_namespaces();
        builder.make_base_blobs();
        builder.make_repositories();
        Ok((builder.tables.into_vec(), builder.counts))
    });
    let (tables, mut counts) = generated.await?;
    counts.rows = tables.iter().map(|table| table.rows).sum();
    if spec.checks_foreign_keys {
        copy_all(&client, database, tables).await?;
    } else {
        copy_without_checks(server, &client, database, tables).await?;
    }
    counts.files = writing.await?;
    let failed = database_error("analyze", database);
    client.batch_execute("analyze").await.map_err(failed)?;
    Ok(counts)
}

/// Reads what generating starts from: enum ids, the database's clock, the first free ids.
async fn prepare(
    client: &Client,
    database: &str,
    spec: &RegistrySpec,
    objects: Option<SyncSender<Object>>,
) -> Result<Builder, TestkitError> {
    const NOW: &str = "select (extract(epoch from clock_timestamp()) * 1000)::bigint";
    let failed = || database_error("read the first free ids", database);
    let enums = EnumIds::read(client, database, &spec.locations).await?;
    let now = client.query_one(NOW, &[]).await.map_err(failed())?;
    let ids = Tables::NAMES.iter();
    let ids =
        ids.map(|table| format!("(select coalesce(max(id), 0)::bigint + 1 from \"{table}\")"));
    let ids = format!("select array[{}]", ids.collect::<Vec<_>>().join(","));
    let ids: Vec<i64> = client.query_one(&ids, &[]).await.map_err(failed())?.get(0);
    Ok(Builder {
        spec: spec.clone(),
        enums,
        random: Random::new(spec.seed),
        now_ms: now.get(0),
        tables: Tables::new(&ids),
        counts: RegistryCounts::default(),
        namespaces: Vec::new(),
        people: Vec::new(),
        blobs: Vec::new(),
        objects,
        base_layers: Vec::new(),
        images_to_copy: Vec::new(),
    })
}

/// Copies the tables over two connections, the large ones dealt evenly, and leaves the foreign keys
/// unchecked: the rows are ours, and the tests check them.
async fn copy_without_checks(
    server: &PostgresServer,
    client: &Client,
    database: &str,
    mut tables: Vec<Table>,
) -> Result<(), TestkitError> {
    tables.sort_by_key(|table| std::cmp::Reverse(table.text.len()));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let (mut first_bytes, mut second_bytes) = (0, 0);
    for table in tables {
        if first_bytes <= second_bytes {
            first_bytes += table.text.len();
            first.push(table);
        } else {
            second_bytes += table.text.len();
            second.push(table);
        }
    }
    let other = server.connect(database).await?;
    for connection in [client, &other] {
        let outcome = connection
            .batch_execute("set session_replication_role = replica")
            .await;
        outcome.map_err(database_error("leave foreign keys unchecked", database))?;
    }
    tokio::try_join!(
        copy_all(client, database, first),
        copy_all(&other, database, second)
    )?;
    let outcome = client.batch_execute("reset session_replication_role").await;
    outcome.map_err(database_error("check foreign keys again", database))
}

/// Copies tables one after the other, and moves their sequences behind the rows.
async fn copy_all(client: &Client, database: &str, tables: Vec<Table>) -> Result<(), TestkitError> {
    for table in tables {
        let failed = database_error(format!("copy into `{}`", table.name), database);
        copy(client, table).await.map_err(failed)?;
    }
    Ok(())
}

async fn copy(client: &Client, table: Table) -> Result<(), tokio_postgres::Error> {
    if table.rows == 0 {
        return Ok(());
    }
    let (name, columns, last_id) = (table.name, table.columns, table.next_id - 1);
    let copy = format!("copy \"{name}\" (id,{columns}) from stdin");
    let mut sink = std::pin::pin!(client.copy_in(&copy).await?);
    let mut text = bytes::Bytes::from(table.text);
    while !text.is_empty() {
        let chunk = text.split_to(CHUNK_BYTES.min(text.len()));
        sink.send(chunk).await?;
    }
    sink.finish().await?;
    let sequence = format!("pg_get_serial_sequence('\"{name}\"', 'id')");
    client
        .batch_execute(&format!("select setval({sequence}, {last_id})"))
        .await
}

/// Starts a thread that writes every object it is sent, and returns the way to send and the count
/// of files to come.
fn start_writing(
    spec: &RegistrySpec,
    root: Option<&Path>,
) -> (
    Option<SyncSender<Object>>,
    impl Future<Output = Result<u64, TestkitError>>,
) {
    let (sender, receiver) = sync_channel(WAITING_OBJECTS);
    let folders = root.map(|root| {
        let folders = spec.locations.iter().map(|name| root.join(name));
        folders.collect::<Vec<PathBuf>>()
    });
    let sender = folders.is_some().then_some(sender);
    let writing = on_a_thread(move || write_objects(&receiver, &folders.unwrap_or_default()));
    (sender, writing)
}

/// Writes objects until no more can come.
fn write_objects(objects: &Receiver<Object>, folders: &[PathBuf]) -> Result<u64, TestkitError> {
    let mut files = 0;
    for object in objects {
        let file = folders[object.location].join(&object.path);
        write_object(&file, &object.content)?;
        files += 1;
    }
    Ok(files)
}

/// Starts what would block the runtime on a thread of its own.
fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TestkitError> + Send + 'static,
) -> impl Future<Output = Result<T, TestkitError>> {
    let thread = tokio::task::spawn_blocking(work);
    async {
        thread.await.unwrap_or_else(|error| {
            Err(TestkitError::BadInput {
                what: "the thread that generates a registry or writes its files".to_owned(),
                reason: error.to_string(),
            })
        })
    }
}
