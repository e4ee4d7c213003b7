//! A role's keys: exchanged once, used until they are about to end, renewed.

use object_store::CredentialProvider;

use super::super::role::Role;
use crate::{
    http::Http,
    s3::settings::Keys,
    twin::{Reply, Twin},
};

/// The answer of `AssumeRole` with keys that live this many seconds.
fn keys(seconds: i64) -> Reply {
    let ends = chrono::Utc::now() + chrono::TimeDelta::seconds(seconds);
    let body = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleResult><AssumedRoleUser><Arn>a</Arn></AssumedRoleUser><Credentials>\
         <AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
         <SessionToken>token</SessionToken><Expiration>{}</Expiration>\
         </Credentials></AssumeRoleResult></AssumeRoleResponse>",
        ends.to_rfc3339()
    );
    Reply::new(200).body(&body)
}

fn role(twin: &Twin) -> Role {
    let user = Keys {
        access: "AK".to_owned(),
        secret: "hush".to_owned(),
        session: None,
    };
    let client = Http::new(None).client().expect("a client");
    Role::new(client, "eu-west-1", "arn:aws:iam::1:role/q", &user).at(&twin.url())
}

#[tokio::test]
async fn exchanges_once_and_renews_before_the_end() {
    let twin = Twin::start(|nth, _| keys(if nth == 0 { 3_600 } else { 60 })).await;
    let role = role(&twin);
    for _ in 0..3 {
        let credential = role.get_credential().await.expect("keys");
        assert_eq!(credential.key_id, "ASIA");
        assert_eq!(credential.token.as_deref(), Some("token"));
    }
    let requests = twin.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(
        requests[0].contains("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fq"),
        "{requests:?}"
    );
    assert!(
        requests[0].contains("/eu-west-1/sts/aws4_request"),
        "{requests:?}"
    );

    let twin = Twin::start(|_, _| keys(60)).await;
    let role = self::role(&twin);
    for _ in 0..2 {
        role.get_credential().await.expect("keys");
    }
    assert_eq!(
        twin.requests().len(),
        2,
        "those with a minute to live are renewed"
    );
}

#[tokio::test]
async fn a_refusal_names_the_role_and_no_secret() {
    let twin = Twin::start(|_, _| Reply::new(403).body("<ErrorResponse/>")).await;
    let error = role(&twin).get_credential().await.expect_err("refused");
    let error = error.to_string();
    assert!(
        error.contains("arn:aws:iam::1:role/q") && error.contains("403"),
        "{error}"
    );
    assert!(!error.contains("hush"), "{error}");
}
