//! libpq's `sslmode` against a server with certificates made by `openssl`.
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use quayhand_model::{Db, DbConfig, DbError, configure};
use quayhand_testkit::{PostgresServer, wait_for};
use tokio_postgres::Client;

use super::{DEADLINE, claim, ping};

/// A server that can encrypt, and the certificates around it.
struct TlsLab {
    server: PostgresServer,
    beside: Client,
    folder: PathBuf,
    owner: u32,
}

impl TlsLab {
    /// Starts a server with a certificate for `localhost` from an authority of its own;
    /// `None` without the program `openssl`.
    async fn new() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            println!("SKIPPED: the program `openssl` is not installed");
            return None;
        }
        let server = PostgresServer::fast().await.unwrap();
        let beside = server.connect("postgres").await.unwrap();
        let folder = server.folder().to_owned();
        let owner = fs::metadata(&folder).unwrap().uid();
        let lab = Self {
            server,
            beside,
            folder,
            owner,
        };
        lab.make_authority("ca");
        lab.make_authority("other");
        lab.make_certificate("server", "ca", "localhost");
        lab.set("ssl_cert_file", "server.crt").await;
        lab.set("ssl_key_file", "server.key").await;
        lab.set("ssl_ca_file", "ca.crt").await;
        lab.run("alter system set ssl = on").await;
        lab.reload().await;
        Some(lab)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    fn openssl(&self, command: &str) {
        let mut program = Command::new("openssl");
        program
            .args(command.split_whitespace())
            .current_dir(&self.folder);
        let output = program.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn make_authority(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
             -keyout {name}.key -out {name}.crt -subj /CN={name}"
        ));
    }

    fn make_certificate(&self, name: &str, authority: &str, host: &str) {
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
             -keyout {name}.key -out {name}.csr -subj /CN={host} -addext subjectAltName=DNS:{host}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.crt -CAkey {authority}.key -days 2 \
             -CAcreateserial -copy_extensions copy -out {name}.crt"
        ));
        self.hand_over(&self.path(&format!("{name}.key")));
    }

    /// Gives a key to the server's user, as the server insists.
    fn hand_over(&self, key: &Path) {
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
        chown(key, Some(self.owner), None).unwrap();
    }

    async fn run(&self, statement: &str) {
        self.beside.batch_execute(statement).await.unwrap();
    }

    async fn set(&self, setting: &str, file: &str) {
        let path = self.path(file);
        self.run(&format!(
            "alter system set {setting} = '{}'",
            path.display()
        ))
        .await;
    }

    /// Replaces who may connect over TCP.
    async fn access(&self, lines: &str) {
        fs::write(
            self.path("access"),
            format!("local all all trust\n{lines}\n"),
        )
        .unwrap();
        self.reload().await;
    }

    async fn reload(&self) {
        let loaded = "select extract(epoch from pg_conf_load_time())::float8";
        let read = async || -> f64 { self.beside.query_one(loaded, &[]).await.unwrap().get(0) };
        let before = read().await;
        self.run("select pg_reload_conf()").await;
        wait_for("the reload", DEADLINE, async || {
            (read().await > before).then_some(())
        })
        .await;
    }

    fn db(&self, host: &str, args: &[(&str, &str)]) -> Db {
        let mut config = DbConfig::new(self.server.url("postgres").replace("127.0.0.1", host));
        config.lock_timeout = Duration::ZERO;
        let args = args
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        config.args = args.collect();
        configure(config).unwrap()
    }

    /// Connects; returns whether the server says that the session is encrypted.
    async fn is_encrypted(&self, host: &str, args: &[(&str, &str)]) -> Result<bool, DbError> {
        let db = self.db(host, args);
        ping(&db).await?;
        let sessions = "select ssl from pg_stat_ssl join pg_stat_activity using (pid)
             where application_name = 'quayhand'";
        let encrypted = self.beside.query_one(sessions, &[]).await.unwrap().get(0);
        drop(db);
        let gone = async || {
            self.beside
                .query_opt(sessions, &[])
                .await
                .unwrap()
                .is_none()
                .then_some(())
        };
        wait_for("the end of the session", DEADLINE, gone).await;
        Ok(encrypted)
    }
}

#[tokio::test]
async fn every_sslmode_encrypts_and_verifies_what_it_says() {
    let Some(lab) = TlsLab::new().await else {
        return;
    };
    let ca = lab.path("ca.crt").display().to_string();
    let other = lab.path("other.crt").display().to_string();
    for (mode, encrypted) in [
        ("disable", false),
        ("allow", false),
        ("prefer", true),
        ("require", true),
    ] {
        let seen = lab
            .is_encrypted("127.0.0.1", &[("sslmode", mode)])
            .await
            .unwrap();
        assert_eq!(seen, encrypted, "{mode}");
    }
    let verified = [
        ("verify-full", "localhost", &ca, true),
        ("verify-full", "127.0.0.1", &ca, false),
        ("verify-full", "localhost", &other, false),
        ("verify-ca", "127.0.0.1", &ca, true),
        ("verify-ca", "127.0.0.1", &other, false),
        ("require", "127.0.0.1", &other, false),
    ];
    for (mode, host, roots, trusted) in verified {
        let outcome = lab
            .is_encrypted(host, &[("sslmode", mode), ("sslrootcert", roots)])
            .await;
        println!("{mode} to {host} with {roots}: {outcome:?}");
        match outcome {
            Ok(encrypted) => assert!(encrypted && trusted, "{mode} {host} {roots}"),
            Err(error) => {
                assert!(
                    !trusted && error.is_connect(),
                    "{mode} {host} {roots}: {error}"
                );
                assert!(error.to_string().contains("`sslrootcert`"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn allow_and_prefer_take_the_other_way_when_the_server_asks_for_it() {
    let Some(lab) = TlsLab::new().await else {
        return;
    };
    lab.access("hostssl all all 127.0.0.1/32 md5").await;
    assert!(
        lab.is_encrypted("127.0.0.1", &[("sslmode", "allow")])
            .await
            .unwrap()
    );
    let refused = lab
        .is_encrypted("127.0.0.1", &[("sslmode", "disable")])
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some("28000"));
    assert!(refused.to_string().contains("pg_hba.conf"), "{refused}");
    lab.access("hostnossl all all 127.0.0.1/32 md5").await;
    assert!(
        !lab.is_encrypted("127.0.0.1", &[("sslmode", "prefer")])
            .await
            .unwrap()
    );
    assert!(
        lab.is_encrypted("127.0.0.1", &[("sslmode", "require")])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_renewed_certificate_needs_no_restart_and_a_self_signed_one_can_be_pinned() {
    let Some(lab) = TlsLab::new().await else {
        return;
    };
    let roots = lab.path("roots.crt");
    fs::copy(lab.path("ca.crt"), &roots).unwrap();
    let roots_arg = roots.display().to_string();
    let db = lab
        .db(
            "localhost",
            &[("sslmode", "verify-full"), ("sslrootcert", &roots_arg)],
        )
        .closing();
    ping(&db).await.unwrap();
    // As PostgreSQL's manual makes one: it is its own authority.
    lab.openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout server.key \
         -out server.crt -subj /CN=localhost -addext subjectAltName=DNS:localhost",
    );
    lab.hand_over(&lab.path("server.key"));
    lab.reload().await;
    let error = wait_for("the new certificate", DEADLINE, async || {
        ping(&db).await.err()
    })
    .await;
    assert!(error.to_string().contains("certificate"), "{error}");
    fs::copy(lab.path("server.crt"), &roots).unwrap();
    ping(&db).await.unwrap();
    let wrong_name = lab.db(
        "127.0.0.1",
        &[("sslmode", "verify-full"), ("sslrootcert", &roots_arg)],
    );
    assert!(ping(&wrong_name).await.is_err());
}

#[tokio::test]
async fn shows_a_certificate_of_its_own_where_the_server_asks_for_one() {
    let Some(lab) = TlsLab::new().await else {
        return;
    };
    lab.make_certificate("client", "ca", "quayhand");
    lab.access("hostssl all all 127.0.0.1/32 cert").await;
    let (certificate, key) = (lab.path("client.crt"), lab.path("client.key"));
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let args = [
        ("sslmode", "require"),
        ("sslcert", &certificate),
        ("sslkey", &key),
    ];
    assert!(lab.is_encrypted("127.0.0.1", &args).await.unwrap());
    assert!(
        lab.is_encrypted("127.0.0.1", &[("sslmode", "require")])
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_cancelled_statement_stops_over_tls_as_well() {
    let Some(lab) = TlsLab::new().await else {
        return;
    };
    lab.run(
        "create table quayhand_schedule (entry text, tick timestamptz, state text,
           claimed_at timestamptz, primary key (entry, tick));
         create table quayhand_schedule_entry (entry text, is_paused boolean,
           changed_at timestamptz)",
    )
    .await;
    let holder = lab.server.connect("postgres").await.unwrap();
    let hold = "begin; insert into quayhand_schedule values ('a', 'epoch', 'claimed')";
    holder.batch_execute(hold).await.unwrap();
    let db = lab.db("127.0.0.1", &[("sslmode", "require")]);
    let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
    let waiting = async || -> i64 { lab.beside.query_one(waiting, &[]).await.unwrap().get(0) };
    let until = async |count| {
        wait_for("the waiter", DEADLINE, async || {
            (waiting().await == count).then_some(())
        })
        .await;
    };
    tokio::select! {
        () = until(1) => {}
        claimed = db.scope(async |conn| claim(conn, "a").await) => panic!("{claimed:?}"),
    }
    until(0).await;
}
