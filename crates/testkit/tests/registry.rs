//! Generated registries: whole, true to their digests, the same for the same seed.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use quayhand_testkit::{
    PostgresServer,
    golden::{quay_database, snapshot},
    registry::{RegistryCounts, RegistrySpec, load},
    shared_or_skip,
};
use sha2::{Digest as _, Sha256};

/// What a collector without mercy would look for.
const GARBAGE: &str = "select count(*) from tag join repository r on r.id = tag.repository_id \
    join \"user\" u on u.id = r.namespace_user_id where lifetime_end_ms \
    <= (extract(epoch from clock_timestamp()) - u.removed_tag_expiration_s) * 1000";

#[tokio::test]
async fn makes_what_was_asked_for() {
    let _shared = shared_or_skip!();
    let (server, database, counts) = loaded(&RegistrySpec::small(1)).await;
    assert_eq!(
        (counts.users, counts.organizations, counts.robots),
        (8, 4, 12)
    );
    assert_eq!(
        (counts.repositories, counts.tags, counts.files),
        (20, 400, 0)
    );
    let expectations = [
        ("select count(*) from tag", counts.tags),
        (GARBAGE, counts.garbage_tags),
        ("select count(*) from manifest", counts.manifests),
        (
            "select count(*) from manifest where media_type_id = (select id from mediatype \
          where name like '%image.index%')",
            counts.manifest_lists,
        ),
        (
            "select count(*) from manifest where subject is not null",
            counts.referrers,
        ),
        ("select count(*) from imagestorage", counts.blobs),
        (
            "select sum(image_size)::bigint from imagestorage",
            counts.blob_bytes,
        ),
        (
            "select count(*) from imagestorageplacement",
            counts.placements,
        ),
        (
            "select count(*) from uploadedblob where expires_at > now()",
            counts.fresh_uploads,
        ),
        (
            "select count(*) from uploadedblob where expires_at < now()",
            counts.expired_uploads,
        ),
    ];
    for (query, expected) in expectations {
        assert_eq!(number(server, &database, query).await, expected, "{query}");
        assert!(expected > 0, "none for {query}");
    }
    assert!(
        (120..200).contains(&counts.garbage_tags),
        "{}",
        counts.garbage_tags
    );
    assert!((15..80).contains(&counts.dead_tags), "{}", counts.dead_tags);
}

/// The database keeps these rules for a real registry only in Quay's code.
#[tokio::test]
async fn keeps_the_rules_of_a_registry() {
    let _shared = shared_or_skip!();
    let (server, database, _counts) = loaded(&RegistrySpec::small(2)).await;
    let never = [
        "select count(*) from (select 1 from tag where lifetime_end_ms is null and not hidden \
         group by repository_id, name having count(*) > 1) twice_alive",
        "select count(*) from manifest m where subject is not null and not exists (select 1 from \
         manifest s where s.repository_id = m.repository_id and s.digest = m.subject)",
        "select count(*) from tag join manifest m on m.id = manifest_id \
         where m.repository_id <> tag.repository_id",
        "select count(*) from manifestchild c join manifest m on m.id = c.child_manifest_id \
         where m.repository_id <> c.repository_id",
        "select count(*) from manifest where digest \
         <> 'sha256:' || encode(sha256(convert_to(manifest_bytes, 'UTF8')), 'hex')",
        "select count(*) from manifestblob b join imagestorage s on s.id = b.blob_id join manifest m \
         on m.id = b.manifest_id where position(s.content_checksum in m.manifest_bytes) = 0",
        "select count(*) from quotarepositorysize q where size_bytes <> (select coalesce(sum(\
         image_size), 0) from imagestorage where id in (select blob_id from manifestblob b \
         where b.repository_id = q.repository_id))",
        "select count(*) from quotanamespacesize q where size_bytes <> (select coalesce(sum(\
         image_size), 0) from imagestorage where id in (select blob_id from manifestblob b join \
         repository r on r.id = b.repository_id where r.namespace_user_id = q.namespace_user_id))",
    ];
    for query in never {
        assert_eq!(number(server, &database, query).await, 0, "{query}");
    }
    let client = server.connect(&database).await.unwrap();
    let insert = "insert into label (uuid, key, value, media_type_id, source_type_id) \
                  values ('x', 'k', 'v', 1, 1)";
    client.execute(insert, &[]).await.unwrap(); // the sequences stand behind the rows
}

#[tokio::test]
async fn writes_files_whose_names_are_their_digests() {
    let _shared = shared_or_skip!();
    let server = PostgresServer::shared().await.unwrap();
    let database = quay_database(server).await.unwrap();
    let root = tempfile::tempdir().unwrap();
    let spec = RegistrySpec {
        locations: vec!["local".to_owned(), "second".to_owned()],
        legacy_fraction: 0.1,
        ..RegistrySpec::small(3)
    };
    let counts = load(server, &database, &spec, Some(root.path()))
        .await
        .unwrap();
    assert_eq!(counts.files, counts.placements);
    assert!(counts.placements > counts.blobs);

    let client = server.connect(&database).await.unwrap();
    let query = "select l.name, s.cas_path, s.uuid, s.content_checksum, s.image_size from \
        imagestorageplacement p join imagestorage s on s.id = p.storage_id \
        join imagestoragelocation l on l.id = p.location_id";
    let mut legacy = 0;
    for row in client.query(query, &[]).await.unwrap() {
        let (location, uuid): (String, String) = (row.get(0), row.get(2));
        let (digest, size): (String, i64) = (row.get(3), row.get(4));
        let hex = digest.strip_prefix("sha256:").unwrap();
        let path = if row.get(1) {
            format!("sha256/{}/{hex}", &hex[..2])
        } else {
            legacy += 1;
            format!("sharedimages/{uuid}/layer")
        };
        let content = std::fs::read(root.path().join(location).join(path)).unwrap();
        assert_eq!(i64::try_from(content.len()).unwrap(), size);
        assert_eq!(hash(&content), hex);
    }
    assert!(legacy > 0);
}

#[tokio::test]
async fn is_the_same_for_the_same_seed() {
    let _shared = shared_or_skip!();
    let (server, first, first_counts) = loaded(&RegistrySpec::small(4)).await;
    let unchecked = RegistrySpec {
        checks_foreign_keys: false,
        ..RegistrySpec::small(4)
    };
    let (_, second, second_counts) = loaded(&unchecked).await;
    let (_, third, third_counts) = loaded(&RegistrySpec::small(5)).await;
    assert_eq!(first_counts, second_counts);
    assert_ne!(first_counts, third_counts);
    let rows = [&first, &second, &third].map(|database| snapshot(server, database));
    let [first_rows, second_rows, third_rows] = rows;
    let first_rows = first_rows.await.unwrap();
    assert_eq!(first_rows, second_rows.await.unwrap());
    assert_ne!(first_rows, third_rows.await.unwrap());
    let digests = "select string_agg(digest, ',' order by id) from manifest";
    let (of_first, of_second) = (
        text(server, &first, digests).await,
        text(server, &second, digests).await,
    );
    assert_eq!(of_first, of_second);
}

#[tokio::test]
async fn two_registries_share_a_database() {
    let _shared = shared_or_skip!();
    let (server, database, counts) = loaded(&RegistrySpec::small(6)).await;
    let taken = load(server, &database, &RegistrySpec::small(7), None)
        .await
        .unwrap_err();
    assert!(taken.to_string().contains("copy into `user`"), "{taken}");
    let spec = RegistrySpec {
        prefix: "other-".to_owned(),
        ..RegistrySpec::small(7)
    };
    load(server, &database, &spec, None).await.unwrap();
    let tags = number(server, &database, "select count(*) from tag").await;
    assert_eq!(tags, 2 * counts.tags);
}

#[tokio::test]
async fn deals_exactly_so_many_tags() {
    let _shared = shared_or_skip!();
    let server = PostgresServer::shared().await.unwrap();
    for (repositories, tags) in [(7, 3), (1, 50), (3, 3), (5, 0)] {
        let database = quay_database(server).await.unwrap();
        let spec = RegistrySpec {
            repositories,
            tags,
            ..RegistrySpec::small(8)
        };
        let counts = load(server, &database, &spec, None).await.unwrap();
        assert_eq!(
            (counts.repositories, counts.tags),
            (repositories.into(), tags.into())
        );
    }
}

#[tokio::test]
async fn names_the_enum_row_that_is_missing() {
    let _shared = shared_or_skip!();
    let server = PostgresServer::shared().await.unwrap();
    let database = quay_database(server).await.unwrap();
    let delete = "delete from tagkind";
    server.execute(&database, delete).await.unwrap();
    let error = load(server, &database, &RegistrySpec::small(9), None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("tagkind"), "{error}");
}

/// Loads a registry into a new database of the shared server.
async fn loaded(spec: &RegistrySpec) -> (&'static PostgresServer, String, RegistryCounts) {
    let server = PostgresServer::shared().await.unwrap();
    let database = quay_database(server).await.unwrap();
    let counts = load(server, &database, spec, None).await.unwrap();
    (server, database, counts)
}

async fn number(server: &PostgresServer, database: &str, query: &str) -> u64 {
    let client = server.connect(database).await.unwrap();
    let number: i64 = client.query_one(query, &[]).await.unwrap().get(0);
    u64::try_from(number).unwrap()
}

async fn text(server: &PostgresServer, database: &str, query: &str) -> String {
    let client = server.connect(database).await.unwrap();
    client.query_one(query, &[]).await.unwrap().get(0)
}

fn hash(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}
