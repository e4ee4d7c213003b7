//! Times that nobody can have meant.

use std::collections::BTreeSet;

use quayhand_testkit::golden::RowKey;

use super::{ANY_REPOSITORY, collect, make_files, registry};

/// Tags and uploads from the beginning of time, which have expired, and from its end.
const ODD: &str = "
    insert into tag (name, repository_id, lifetime_start_ms, lifetime_end_ms, tag_kind_id) values
        ('first', $R, 0, -9223372036854775808, 1), ('last', $R, 0, 9223372036854775807, 1);
    insert into imagestorage (uuid, cas_path, content_checksum) values
        ('first', true, 'sha256:' || lpad('1', 64, '0')),
        ('before', true, 'sha256:' || lpad('2', 64, '0')),
        ('last', true, 'sha256:' || lpad('3', 64, '0'));
    insert into imagestorageplacement (storage_id, location_id)
    select s.id, l.id from imagestorage s join imagestoragelocation l on l.name = 'local'
     where s.uuid in ('first', 'before', 'last');
    insert into uploadedblob (repository_id, blob_id, uploaded_at, expires_at)
    select $R, id, '-infinity', case uuid when 'first' then '-infinity'::timestamp
                                          when 'before' then '4700-01-01 BC'
                                          else 'infinity' end
      from imagestorage where uuid in ('first', 'before', 'last')";

#[tokio::test]
async fn a_time_that_nobody_can_have_meant_stops_nobody() {
    let (scene, twin) = (registry().await, registry().await);
    let repository = scene.texts(ANY_REPOSITORY).await.remove(0);
    let before = scene.rows().await;
    scene.execute(&ODD.replace("$R", &repository)).await;
    make_files(&scene).await;
    let odd: BTreeSet<RowKey> = scene.rows().await.difference(&before).cloned().collect();
    collect(&scene).await;
    collect(&twin).await;
    let left = scene.rows().await;
    let others: BTreeSet<_> = left.difference(&odd).cloned().collect();
    assert!(
        others == twin.rows().await,
        "everything else went as without them"
    );
    let left: Vec<_> = odd.intersection(&left).map(|row| row.0.as_str()).collect();
    let last = [
        "imagestorage",
        "imagestorageplacement",
        "tag",
        "uploadedblob",
    ];
    assert_eq!(
        left, last,
        "what ends at the end of time stays, and its blob"
    );
}
