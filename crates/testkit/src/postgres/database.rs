//! Databases of a throw-away PostgreSQL: made new or from a template, connected to, filled.

use std::{path::Path, process::Stdio};

use tokio_postgres::{Client, NoTls};

use super::{POSTGRES_PASSWORD, POSTGRES_USER, PostgresServer};
use crate::{
    TestkitError,
    error::{database_error, io_error},
    program,
};

impl PostgresServer {
    /// Creates an empty database.
    ///
    /// # Errors
    /// When it exists already.
    pub async fn create_database(&self, name: &str) -> Result<(), TestkitError> {
        self.create(name, "template0").await
    }

    /// Creates a database as a copy of another one that nobody is connected to.
    ///
    /// Cost: about 100 ms for a registry schema.
    ///
    /// # Errors
    /// When it exists already, or the template does not, or is in use.
    pub async fn create_database_from(
        &self,
        name: &str,
        template: &str,
    ) -> Result<(), TestkitError> {
        self.create(name, template).await
    }

    /// Creates a database once for this server and returns its name, to copy others from.
    ///
    /// `build` gets the URL of the new, empty database and must have closed its connections when it
    /// returns. Callers that ask for the same name meanwhile wait for the first one.
    ///
    /// # Errors
    /// What `build` returns; the half-built database is dropped and the next call tries again.
    pub async fn template<E: From<TestkitError>>(
        &self,
        name: &str,
        build: impl AsyncFnOnce(&str) -> Result<(), E>,
    ) -> Result<String, E> {
        let mut templates = self.templates.lock().await;
        if !templates.contains(name) {
            let drop = format!("drop database if exists {} with (force)", quoted(name));
            self.execute("postgres", &drop).await?;
            self.create_database(name).await?;
            build(&self.url(name)).await?;
            templates.insert(name.to_owned());
        }
        Ok(name.to_owned())
    }

    /// Connects to a database over the server's socket, as superuser.
    ///
    /// A task of the current runtime drives the connection until the client is dropped.
    ///
    /// # Errors
    /// When the database does not exist or the server has ended.
    pub async fn connect(&self, database: &str) -> Result<Client, TestkitError> {
        let (client, connection) = tokio_postgres::Config::new()
            .host_path(self.folder())
            .port(self.port())
            .user(POSTGRES_USER)
            .password(POSTGRES_PASSWORD)
            .dbname(database)
            .application_name("quayhand testkit")
            .connect(NoTls)
            .await
            .map_err(database_error("connect", database))?;
        tokio::spawn(connection); // its error reaches the client's next call
        Ok(client)
    }

    /// Runs statements without parameters, separated by semicolons, on a connection of its own.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub async fn execute(&self, database: &str, statements: &str) -> Result<(), TestkitError> {
        let client = self.connect(database).await?;
        let outcome = client.batch_execute(statements).await;
        outcome.map_err(database_error(format!("run `{statements}`"), database))
    }

    /// Runs an SQL file, as `pg_dump` writes them, through `psql`; `.gz` is unpacked on the way.
    ///
    /// `before` are statements for the same session, such as a setting; empty for none.
    ///
    /// # Errors
    /// The first failing statement with its line, or a missing program.
    pub async fn run_file(
        &self,
        database: &str,
        file: &Path,
        before: &str,
    ) -> Result<(), TestkitError> {
        let psql = program::find("psql", "postgresql-client")?;
        let (input, unpacking) = open(file)?;
        let mut command = tokio::process::Command::new(&psql);
        command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--host"]);
        command.arg(self.folder());
        command.args(["--port", &self.port().to_string()]);
        command.args(["--username", POSTGRES_USER, "--dbname", database]);
        if !before.is_empty() {
            command.args(["--command", before]);
        }
        command.args(["--file", "-"]).stdin(input);
        command.stdout(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.map_err(io_error("run", psql))?;
        check("psql", file, &output)?;
        match unpacking {
            None => Ok(()),
            Some(gzip) => {
                let output = gzip.wait_with_output().await;
                check("gzip", file, &output.map_err(io_error("unpack", file))?)
            }
        }
    }

    /// Creates a database from a template.
    async fn create(&self, name: &str, template: &str) -> Result<(), TestkitError> {
        let (name, template) = (quoted(name), quoted(template));
        let create = format!("create database {name} template {template}");
        self.execute("postgres", &create).await
    }
}

/// Opens a file for a program's standard input; a `.gz` through `gzip`, which is returned as well.
fn open(file: &Path) -> Result<(Stdio, Option<tokio::process::Child>), TestkitError> {
    let plain = std::fs::File::open(file).map_err(io_error("open", file))?;
    if file.extension().is_none_or(|extension| extension != "gz") {
        return Ok((plain.into(), None));
    }
    let gzip = program::find("gzip", "gzip")?;
    let mut child = tokio::process::Command::new(&gzip)
        .args(["--decompress", "--stdout"])
        .stdin(plain)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(io_error("run", gzip))?;
    let Some(unpacked) = child.stdout.take() else {
        unreachable!("the output was asked for as a pipe");
    };
    let unpacked: Stdio = unpacked.try_into().map_err(io_error("unpack", file))?;
    Ok((unpacked, Some(child)))
}

/// Turns a program's failure into an error that carries what it said.
fn check(
    program: &'static str,
    file: &Path,
    output: &std::process::Output,
) -> Result<(), TestkitError> {
    if output.status.success() {
        return Ok(());
    }
    Err(TestkitError::ProgramFailed {
        program,
        action: format!("read `{}`", file.display()),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Quotes an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
