//! `rediss://`: whom we believe, what we show, and that nothing falls back to plain text.
use quayhand_queue::{Deadlines, QueueError, Redis, RedisStore, Settings, Tls};
use quayhand_testkit::{RedisOptions, RedisServer, RedisTls};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};

use crate::support::{Desk, SOON};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = named(name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// A certificate for a name, and its key.
fn certificate(authority: &Authority, name: &str) -> (String, String) {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name = named(name);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

async fn server(authority: &Authority, name: &str, asks_clients: bool) -> RedisServer {
    let (certificate, key) = certificate(authority, name);
    let tls = Some(RedisTls {
        authority: authority.pem(),
        certificate,
        key,
        asks_clients,
    });
    let options = RedisOptions {
        tls,
        ..RedisOptions::default()
    };
    RedisServer::start_with(&options).await.unwrap()
}

/// Settings that believe one authority alone.
fn believing(authority: &Authority) -> Settings {
    Settings {
        deadlines: Deadlines {
            connect: SOON,
            command: SOON,
        },
        tls: Tls {
            authorities: Some(authority.pem().into_bytes()),
            client: None,
        },
    }
}

async fn refusal(url: &str, settings: &Settings) -> QueueError {
    let redis = Redis::open_with(url, settings).unwrap();
    redis.ping().await.unwrap_err()
}

#[tokio::test]
async fn carries_jobs_to_a_server_whose_authority_we_believe() {
    let ours = authority("ours");
    let server = server(&ours, "localhost", false).await;
    let url = server.tls_url().unwrap();
    let redis = Redis::open_with(&url, &believing(&ours)).unwrap();
    let desk = Desk::at(RedisStore::new(redis));
    desk.put(1..=3).await;
    assert_eq!(desk.take_ids(5).await, ["1", "2", "3"]);
    assert!(desk.fetch(1, SOON).await.jobs.is_empty());
}

#[tokio::test]
async fn believes_no_other_authority_and_no_other_name() {
    let (ours, other) = (authority("ours"), authority("other"));
    let right = server(&ours, "localhost", false).await;
    let url = right.tls_url().unwrap();
    for settings in [believing(&other), Settings::default()] {
        let error = refusal(&url, &settings).await;
        assert!(error.is_unreachable(), "{error:?}");
    }
    let wrong = server(&ours, "elsewhere", false).await;
    let error = refusal(&wrong.tls_url().unwrap(), &believing(&ours)).await;
    assert!(error.is_unreachable(), "{error:?}");
}

#[tokio::test]
async fn shows_its_certificate_to_a_server_that_asks() {
    let ours = authority("ours");
    let server = server(&ours, "localhost", true).await;
    let url = server.tls_url().unwrap();
    let mut settings = believing(&ours);
    let error = refusal(&url, &settings).await;
    assert!(error.is_unreachable(), "{error:?}");

    let (client, key) = certificate(&ours, "quayhand");
    settings.tls.client = Some((client.into_bytes(), key.into_bytes()));
    let redis = Redis::open_with(&url, &settings).unwrap();
    redis.ping().await.unwrap();
    assert!(!format!("{settings:?}").contains("PRIVATE KEY"));
}

#[tokio::test]
async fn never_falls_back_to_plain_text() {
    let ours = authority("ours");
    let server = server(&ours, "localhost", false).await;
    let plain = format!("rediss://localhost:{}/0", server.port());
    let error = refusal(&plain, &believing(&ours)).await;
    assert!(error.is_unreachable(), "{error:?}");
    Redis::connect(&server.url()).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_is_none_is_refused_at_once() {
    let settings = Settings {
        tls: Tls {
            authorities: Some(b"-----BEGIN CERTIFICATE-----\nCANARY\n".to_vec()),
            client: None,
        },
        ..Settings::default()
    };
    let error = Redis::open_with("rediss://localhost/0", &settings).unwrap_err();
    assert!(matches!(error, QueueError::Url { .. }), "{error:?}");
}
