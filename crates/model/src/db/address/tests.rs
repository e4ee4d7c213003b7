use std::{collections::BTreeMap, path::Path, time::Duration};

use proptest::prelude::*;
use tokio_postgres::config::{Host, SslMode};

use super::{super::DbError, Address, DbConfig};

fn parse(url: &str, args: &[(&str, &str)]) -> Result<Address, DbError> {
    let args = args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Address::parse(&DbConfig {
        args: args.collect(),
        ..DbConfig::new(url)
    })
}

fn problem(url: &str, args: &[(&str, &str)]) -> String {
    let error = parse(url, args).err().expect("an error");
    assert!(matches!(error, DbError::Config { .. }));
    error.to_string()
}

#[test]
fn reads_the_url_forms_that_quay_takes() {
    for scheme in ["postgresql", "postgres", "postgresql+psycopg2"] {
        let address = parse(
            &format!("{scheme}://quay:secret@db.example:6543/registry"),
            &[],
        );
        let address = address.expect("an address");
        assert_eq!(address.server, "db.example:6543/registry");
        assert_eq!(address.config.get_user(), Some("quay"));
        assert_eq!(address.config.get_password(), Some(&b"secret"[..]));
        assert_eq!(address.config.get_application_name(), Some("quayhand"));
    }
}

#[test]
fn decodes_user_and_password_and_takes_a_raw_slash_as_quay_does() {
    let address = parse("postgresql://us%40er:p%3A%40%2F%25+@h/db", &[]).expect("an address");
    assert_eq!(address.config.get_user(), Some("us@er"));
    assert_eq!(address.config.get_password(), Some(&b"p:@/%+"[..]));
    let address = parse("postgresql://u:pa/ss#@h/db", &[]).expect("an address");
    assert_eq!(address.config.get_password(), Some(&b"pa/ss#"[..]));
    assert_eq!(address.server, "h:5432/db");
}

#[test]
fn takes_sockets_from_host_and_query_and_never_encrypts_them() {
    for url in [
        "postgresql://u@%2Frun%2Fpg/db?sslmode=require",
        "postgresql://u@/db?host=/run/pg&sslmode=verify-full",
    ] {
        let address = parse(url, &[]).expect("an address");
        assert_eq!(address.places[0].host, Host::Unix("/run/pg".into()));
        assert_eq!(address.server, "/run/pg:5432/db");
    }
    let address = parse("postgresql:///db", &[]).expect("an address");
    assert_eq!(
        [address.places[0].host.clone()],
        [Host::Unix("/var/run/postgresql".into())]
    );
}

#[test]
fn merges_query_and_arguments() {
    let url = "postgresql://u@h/db?connect_timeout=3&application_name=web&options=-c%20a%3Db+c";
    let args = [
        ("connect_timeout", "7"),
        ("tcp_user_timeout", "1500"),
        ("keepalives_count", "4"),
        ("host", "elsewhere"),
        ("password", "late"),
        ("threadlocals", "true"),
        ("autorollback", "true"),
        ("max_connections", "20"),
        ("stale_timeout", "300"),
        ("timeout", "5"),
    ];
    let address = parse(url, &args).expect("an address");
    let config = &address.config;
    assert_eq!(address.server, "h:5432/db");
    assert_eq!(config.get_password(), Some(&b"late"[..]));
    assert_eq!(address.connect_timeout, Duration::from_secs(7));
    assert_eq!(
        config.get_tcp_user_timeout(),
        Some(&Duration::from_millis(1500))
    );
    assert_eq!(config.get_keepalives_retries(), Some(4));
    assert_eq!(config.get_application_name(), Some("web"));
    assert_eq!(config.get_options(), Some("-c a=b+c"));
}

#[test]
fn names_several_hosts_and_brackets_addresses() {
    let address = parse("postgresql://u@a:1,[::1]:2,c/db", &[]).expect("an address");
    assert_eq!(address.server, "a:1,[::1]:2,c:5432/db");
    let args = [("hostaddr", "10.0.0.1,10.0.0.2"), ("port", "7")];
    let address = parse("postgresql://u@/db?host=a,b", &args).expect("an address");
    assert_eq!(address.server, "a:7,b:7/db");
    assert_eq!(address.places[1].address, "10.0.0.2".parse().ok());
    let odd = problem("postgresql://u@a,b/db", &[("hostaddr", "10.0.0.1")]);
    assert!(odd.contains("as many `hostaddr` as hosts"), "{odd}");
    let odd = problem("postgresql://u@/db?host=a,b,c&port=1,2", &[]);
    assert!(odd.contains("one port, or as many as hosts"), "{odd}");
}

#[test]
fn maps_every_sslmode() {
    let modes = [
        ("disable", SslMode::Disable, None),
        ("allow", SslMode::Disable, Some(SslMode::Require)),
        ("prefer", SslMode::Prefer, Some(SslMode::Disable)),
        ("require", SslMode::Require, None),
        ("verify-ca", SslMode::Require, None),
        ("verify-full", SslMode::Require, None),
    ];
    for (name, first, second) in modes {
        let args = [("sslmode", name), ("sslrootcert", "/ca.pem")];
        let address = parse("postgresql://u@h/db?sslmode=disable", &args).expect("an address");
        assert_eq!(address.tls.modes(), (first, second), "{name}");
    }
    let address = parse("postgresql://u@h/db", &[]).expect("an address");
    let libpq_default = (SslMode::Prefer, Some(SslMode::Disable));
    assert_eq!(address.tls.modes(), libpq_default);
}

#[test]
fn says_what_is_wrong_and_what_would_be_right() {
    let expected = "expected postgresql://user:password@host:port/database";
    assert!(problem("localhost", &[]).contains(expected));
    assert!(problem("redis://localhost", &[]).contains(expected));
    assert!(problem("postgresql://u:p@h:port/db", &[]).contains(expected));
    for url in ["mysql://u@h/db", "mysql+pymysql://u@h/db"] {
        assert!(problem(url, &[]).ends_with("MySQL and MariaDB are not supported yet"));
    }
    let unknown = problem("postgresql://u@h/db", &[("sslcrl", "x")]);
    assert!(
        unknown.contains("`connection_args`") && unknown.contains("`sslcrl`"),
        "{unknown}"
    );
    let mode = problem("postgresql://u@h/db?sslmode=always", &[]);
    assert!(
        mode.contains("`url`") && mode.contains("verify-full"),
        "{mode}"
    );
    let count = problem("postgresql://u@h/db", &[("connect_timeout", "soon")]);
    assert!(
        count.contains("`soon`, which is not a whole number"),
        "{count}"
    );
    let roots = problem("postgresql://u@h/db?sslmode=verify-full", &[]);
    assert!(roots.contains("sslrootcert"), "{roots}");
    let half = problem("postgresql://u@h/db?sslcert=/c.pem", &[]);
    assert!(half.contains("sslkey"), "{half}");
}

#[test]
fn refuses_a_raw_at_sign_rather_than_show_half_a_password() {
    for url in ["postgresql://u:p@ss@h/db", "postgresql://u:5?pa@ss@h/db"] {
        let text = problem(url, &[]);
        assert!(
            text.contains("percent-encoded") && !text.contains("ss@"),
            "{text}"
        );
    }
}

#[test]
fn debug_shows_no_password() {
    let mut config = DbConfig::new("postgresql://u:hidden@h/db?password=hidden2");
    config.args = BTreeMap::from([("password".to_owned(), "hidden3".to_owned())]);
    let text = format!("{config:?}");
    assert!(
        !text.contains("hidden") && text.contains("h:5432/db"),
        "{text}"
    );
    let text = format!("{:?}", DbConfig::new("postgresql://u:hid@den@h/db"));
    assert!(!text.contains("hid") && !text.contains("den@"), "{text}");
}

#[test]
fn names_a_certificate_file_that_cannot_be_read() {
    let args = [
        ("sslmode", "verify-full"),
        ("sslrootcert", "/nowhere/ca.pem"),
    ];
    let address = parse("postgresql://u@h/db", &args).expect("an address");
    let error = address.tls.connector().err().expect("an error").to_string();
    assert!(
        error.contains("sslrootcert") && error.contains("/nowhere/ca.pem"),
        "{error}"
    );
    assert!(!Path::new("/nowhere/ca.pem").exists());
}

proptest! {
    #[test]
    fn never_panics_and_never_shows_the_password(password in "\\PC{12,24}", rest in "\\PC{0,24}") {
        let url = format!("postgresql://u:{password}@h{rest}");
        let shown = match parse(&url, &[]) {
            Ok(address) => format!("{} {:?}", address.server, address.config),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!shown.contains(&password), "{shown}");
        parse(&rest, &[]).ok();
    }
}
