//! How a throw-away Redis is set up.
use std::fmt::Write as _;

use super::{Login, REDIS_DATABASES};

/// The user, with its name as password, by whom we look at a server that has users.
pub(super) const ADMINISTRATOR: &str = "testkit";

/// Says how a throw-away Redis keeps its data, and whom it lets in.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// Whether every write goes to an append-only file, so that a restart finds the data again.
    /// Without it a killed server forgets everything.
    pub appendonly: bool,
    /// Whether a write is on the disk before it is answered, so that a kill loses nothing that was.
    /// Without it the file is written every second, and a kill while it is loses what was answered
    /// meanwhile.
    pub fsync_always: bool,
    /// The password that clients must give, `None` for an open server; without quotes, backslashes
    /// or line ends.
    pub password: Option<String>,
    /// The text of an ACL file; it must not define the user `testkit`. `None`: the one default
    /// user.
    pub users: Option<String>,
    /// Opens a second port that is encrypted.
    pub tls: Option<RedisTls>,
    /// Whether the server is a node of a cluster; it has no slots then until somebody gives it
    /// some.
    pub cluster: bool,
}

/// Certificates of a server, as PEM texts.
#[derive(Debug, Clone)]
pub struct RedisTls {
    /// The authority that clients' certificates must come from.
    pub authority: String,
    /// The server's certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// Whether clients must show a certificate.
    pub asks_clients: bool,
}

impl RedisOptions {
    pub(super) fn login(&self) -> Login {
        match &self.password {
            _ if self.users.is_some() => Login::Users,
            Some(password) => Login::Password(password.clone()),
            None => Login::Anybody,
        }
    }

    /// Returns what must lie in the server's folder.
    pub(super) fn files(&self) -> Vec<(&'static str, String)> {
        let mut files = Vec::new();
        if let Some(users) = &self.users {
            let ours = format!("user {ADMINISTRATOR} on >{ADMINISTRATOR} ~* &* +@all");
            files.push(("users.acl", format!("{users}\n{ours}\n")));
        }
        if let Some(tls) = &self.tls {
            files.push(("ca.crt", tls.authority.clone()));
            files.push(("server.crt", tls.certificate.clone()));
            files.push(("server.key", tls.key.clone()));
        }
        files
    }
}

/// Writes the server's settings.
pub(super) fn settings(
    options: &RedisOptions,
    port: u16,
    tls_port: Option<u16>,
    bus_port: Option<u16>,
) -> String {
    let appendonly = if options.appendonly { "yes" } else { "no" };
    let fsync = if options.fsync_always {
        "always"
    } else {
        "everysec"
    };
    let mut text = format!(
        "port {port}\nbind 127.0.0.1\ndaemonize no\nlogfile \"\"\ndir .\nsave \"\"\nmaxmemory 0\n\
         appendonly {appendonly}\nappendfsync {fsync}\n"
    );
    // A string takes everything.
    let mut line = |line: String| writeln!(text, "{line}").unwrap_or_default();
    if let Some(password) = &options.password {
        line(format!("requirepass \"{password}\""));
    }
    if options.users.is_some() {
        line("aclfile users.acl".to_owned());
    }
    if let (Some(tls), Some(port)) = (&options.tls, tls_port) {
        line(format!("tls-port {port}\ntls-ca-cert-file ca.crt"));
        line("tls-cert-file server.crt\ntls-key-file server.key".to_owned());
        let asks = if tls.asks_clients { "yes" } else { "no" };
        line(format!("tls-auth-clients {asks}"));
    }
    match bus_port {
        Some(bus_port) => {
            line(format!("cluster-enabled yes\ncluster-port {bus_port}"));
            line("cluster-node-timeout 2000\ncluster-config-file nodes.conf".to_owned());
        }
        None => line(format!("databases {REDIS_DATABASES}")),
    }
    text
}
