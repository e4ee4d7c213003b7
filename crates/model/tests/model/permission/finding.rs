//! Finding repositories, users and teams by what people call them.
use quayhand_model::{
    DbError,
    repository::{self, State},
    team, user,
};

use super::registry::Acme;

#[tokio::test]
async fn finds_by_name_what_is_not_deleted() {
    let acme = Acme::new().await;
    let db = &acme.registry.db;
    let nested = acme.registry.repository(acme.organization, "deep/er").await;
    acme.registry
        .run("update repository set state = 3 where name = 'lib'")
        .await;
    let found = async |path: &str| {
        db.scope(async |conn| repository::by_path(conn, path).await)
            .await
            .unwrap()
    };
    let app = found("acme/app").await.unwrap();
    assert_eq!(
        (app.id, app.namespace_id),
        (acme.app, Some(acme.organization))
    );
    assert_eq!(found("acme/deep/er").await.map(|r| r.id), Some(nested));
    assert_eq!(found("acme/lib").await, None, "marked for deletion");
    assert_eq!(found("acme/none").await, None);
    assert_eq!(found("none/app").await, None);
    for bad in ["app", "/app", "acme/", ""] {
        let error = db
            .scope(async |conn| repository::by_path(conn, bad).await)
            .await;
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains(&format!("`{bad}`")) && text.contains("namespace/name"),
            "{text}"
        );
    }
    db.scope(async |conn| {
        let lib = repository::by_id(conn, acme.lib).await?.unwrap();
        assert_eq!(lib.state, State::MarkedForDeletion, "by id in any state");
        let robot = user::by_name(conn, "acme+ci").await?.unwrap();
        assert_eq!((robot.id, robot.kind), (acme.robot, user::Kind::Robot));
        let org = user::by_id(conn, acme.organization).await?.unwrap();
        assert_eq!(
            (org.username.as_str(), org.kind),
            ("acme", user::Kind::Organization)
        );
        let team = team::by_name(conn, "acme", "developers").await?.unwrap();
        assert_eq!(team.id, acme.developers);
        assert_eq!(team::by_id(conn, -1).await?, None);
        Ok::<_, DbError>(())
    })
    .await
    .unwrap();
}
