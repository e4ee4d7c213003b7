//! A daemon of test kinds, built from the library as the shipped one is.
//!
//! The test binary runs itself: [`entry`] is a test that, told so by an environment variable,
//! becomes the daemon.
pub(crate) mod faulty;
pub(crate) mod kinds;
pub(crate) mod settings;

use std::{collections::BTreeMap, env, error::Error, path::PathBuf, process, sync::Arc};

use quayhand::{
    config::{Log, LogFormat, LogLevel},
    exit::Exit,
    supervisor::{
        self, JobContext, Parts, Plan, Reloaded, Signals, StartError, Supervisor, Telemetry,
    },
};
use quayhand_jobs::Gate;
use quayhand_model::{DbConfig, configure};
use quayhand_queue::{Client, Envelope, KeyBy, Notes, Policy, Redis, RedisStore, Schedule};
use tokio_util::sync::CancellationToken;

use settings::Settings;

/// Names the file of [`Settings`] and so turns [`entry`] into the daemon.
pub(crate) const SETTINGS_VARIABLE: &str = "QUAYHAND_TESTD";
/// The arguments with which the test binary is the daemon.
pub(crate) const ARGUMENTS: [&str; 5] = [
    "--exact",
    "testd::entry",
    "--ignored",
    "--nocapture",
    "--test-threads=1",
];

/// What a test job is given.
#[derive(Clone)]
pub(crate) struct TestCtx {
    pub(crate) ledger: Arc<tokio_postgres::Client>,
    pub(crate) client: Client,
    pub(crate) attempt: i32,
    pub(crate) id: String,
    pub(crate) stop: CancellationToken,
    pub(crate) notes: Notes,
    pub(crate) hurry: bool,
}

impl JobContext for TestCtx {
    fn for_attempt(&self, envelope: &Envelope, stop: &CancellationToken, notes: &Notes) -> Self {
        let attempt = i32::try_from(envelope.attempt).unwrap();
        faulty::end_the_worker_where_asked(envelope);
        Self {
            attempt,
            id: envelope.id.clone(),
            stop: stop.clone(),
            notes: notes.clone(),
            ..self.clone()
        }
    }

    fn locks(&self) -> Vec<String> {
        vec!["TEST_LOCK".to_owned()]
    }
}

#[test]
#[ignore = "the daemon itself: other tests run it in a process of its own"]
#[expect(clippy::exit, reason = "its exit code is what other tests look at")]
fn entry() {
    let Some(path) = env::var_os(SETTINGS_VARIABLE).map(PathBuf::from) else {
        return;
    };
    let exit = supervisor::runtime().unwrap().block_on(run(path));
    process::exit(exit.code().into());
}

async fn run(path: PathBuf) -> Exit {
    let level = match &*Settings::read(&path).unwrap().log_level {
        "error" => LogLevel::Error,
        _ => LogLevel::Info,
    };
    let log = Log {
        format: LogFormat::Json,
        level,
    };
    let telemetry = Telemetry::init(log).unwrap();
    let signals = Signals::install().unwrap();
    let outcome = match parts(path, telemetry).await {
        Ok(parts) => Supervisor::new(parts).run(signals).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => Exit::Ok,
        Err(error) => {
            tracing::error!("did not start: {error}");
            error.exit()
        }
    }
}

async fn parts(path: PathBuf, telemetry: Telemetry) -> Result<Parts<TestCtx>, StartError> {
    let settings = Settings::read(&path).unwrap();
    let client = Client::new(RedisStore::new(Redis::connect(&settings.redis_url).await?));
    let base = TestCtx {
        ledger: Arc::new(ledger(&settings.ledger_url).await),
        client: client.clone(),
        attempt: 0,
        id: String::new(),
        stop: CancellationToken::new(),
        notes: Notes::default(),
        hurry: settings.hurry,
    };
    let reloaded = base.clone();
    let reload = move || {
        let settings = Settings::read(&path)?;
        let base = TestCtx {
            hurry: settings.hurry,
            ..reloaded.clone()
        };
        let needs_restart = vec!["redis_url".to_owned()];
        Ok::<_, Box<dyn Error + Send + Sync>>(Reloaded {
            plan: plan(&settings),
            base,
            needs_restart,
        })
    };
    Ok(Parts {
        registry: faulty::add_to(kinds::registry(), settings.is_newer),
        base,
        client,
        db: configure(DbConfig::new(&settings.database_url))?,
        gate: Gate::shut("not checked yet"),
        plan: plan(&settings),
        telemetry: Some(telemetry),
        reload: Arc::new(reload),
    })
}

fn plan(settings: &Settings) -> Plan {
    let slots = settings
        .slots
        .iter()
        .map(|(queue, slots)| (queue.parse().unwrap(), *slots));
    Plan {
        slots: slots.collect(),
        lease: settings.lease,
        drain_timeout: settings.drain_timeout,
        schedules: [("ticked", settings.tick), ("sweep", settings.sweep)]
            .map(|(kind, every)| (kind.to_owned(), Schedule::Every(every).into()))
            .into(),
        policies: policies(settings),
        relay_interval: settings.relay_interval,
        ..Plan::default()
    }
}

/// The policies of the kinds that the settings say something about.
fn policies(settings: &Settings) -> BTreeMap<String, Policy> {
    let mut policies = BTreeMap::new();
    for entry in kinds::registry().iter() {
        let mut policy = entry.policy;
        if let Some(timeout) = settings.timeouts.get(entry.kind) {
            policy.timeout = *timeout;
        }
        if let Some(most) = settings.limits.get(entry.kind) {
            policy = policy.limit(*most, KeyBy::Kind);
        }
        policies.insert(entry.kind.to_owned(), policy);
    }
    policies
}

async fn ledger(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}
