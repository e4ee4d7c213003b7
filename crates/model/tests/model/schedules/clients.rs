//! A client that pushes: request after request, and all over again when one was refused.
use quayhand_model::gc::Lock;

use super::{
    actors::Collector,
    batch,
    halts::Actor,
    pushes::{Push, Session},
    registry::Registry,
    verdict::Wanted,
};

/// A client, who ends with the answers it got.
pub(super) type Pusher = Actor<String>;

impl Pusher {
    /// Starts a client that sends `first`, halting at some places; when one of it is refused,
    /// it sends `again`.
    pub(super) async fn sends(
        registry: &Registry,
        first: Vec<Push>,
        again: Vec<Push>,
        places: &'static [&'static str],
    ) -> Self {
        let client = registry.server.connect(&registry.database).await.unwrap();
        // Only clients end deadlocks here.
        let impatient = "set deadlock_timeout = '10ms'";
        client.batch_execute(impatient).await.unwrap();
        let pid = client.query_one("select pg_backend_pid()", &[]).await;
        let is = format!("pid = {}", pid.unwrap().get::<_, i32>(0));
        Actor::start(is, places, async move |halts| {
            let session = Session { client, halts };
            match answers(&session, &first).await {
                Ok(answers) => answers,
                Err(refused) => {
                    let (Ok(answers) | Err(answers)) = answers(&session, &again).await;
                    format!("{refused}, again {answers}")
                }
            }
        })
    }
}

/// Sends requests until one is refused.
async fn answers(session: &Session, pushes: &[Push]) -> Result<String, String> {
    let mut answers: Vec<String> = Vec::new();
    for push in pushes {
        match session.answer(push).await {
            Ok(answer) => answers.push(answer.to_owned()),
            Err(refusal) => {
                answers.push(refusal.to_string());
                return Err(answers.join(" "));
            }
        }
    }
    Ok(answers.join(" "))
}

/// A client and the batch that it meets.
pub(super) struct Meeting<'a> {
    pub(super) registry: &'a Registry,
    pub(super) without: Option<Lock>,
    /// The repository of the batch.
    pub(super) repository: i64,
    pub(super) pusher: Pusher,
    /// Where the client has read and not written, and where it has written and not committed.
    pub(super) places: &'static [&'static str; 2],
    /// Ends the last tag of what the client works with, for good.
    pub(super) falls_due: String,
    /// What the client and the batch both want.
    pub(super) wanted: Wanted,
}

impl Meeting<'_> {
    /// The client writes; the batch comes before it commits.
    pub(super) async fn pusher_first(mut self) -> String {
        self.begins().await;
        self.pusher.goes_on();
        self.pusher.reaches(self.places[1]).await;
        let mut collector = self.collector(&[]);
        let waits = collector.is_kept_from("its end", self.registry).await;
        let answers = self.pusher.ends().await;
        let ended = batch(&collector.ends().await);
        let waited = if waits { "waited and " } else { "" };
        let fate = self.registry.fate_of(&self.wanted).await;
        format!("batch {waited}{ended}, client got {answers}, {fate}")
    }

    /// The batch has locked what goes; the client comes to write.
    pub(super) async fn collector_first(mut self, place: &'static [&'static str; 1]) -> String {
        self.begins().await;
        let mut collector = self.collector(place);
        collector.reaches(place[0]).await;
        self.pusher.goes_on();
        let waits = self.pusher.is_kept_from(self.places[1], self.registry);
        let (ended, answers) = if waits.await {
            let ended = collector.ends().await;
            (
                ended,
                format!("waited and got {}", self.pusher.ends().await),
            )
        } else {
            collector.goes_on();
            self.registry.until_a_collector_waits().await;
            let answers = self.pusher.ends().await;
            (collector.ends().await, format!("got {answers}"))
        };
        let fate = self.registry.fate_of(&self.wanted).await;
        format!("batch {}, client {answers}, {fate}", batch(&ended))
    }

    /// The client has read; the batch comes and goes before it looks again.
    pub(super) async fn collector_in_between(mut self) -> String {
        self.begins().await;
        let ended = batch(&self.collector(&[]).ends().await);
        let answers = self.pusher.ends().await;
        let fate = self.registry.fate_of(&self.wanted).await;
        format!("batch {ended}, client got {answers}, {fate}")
    }

    async fn begins(&mut self) {
        self.pusher.reaches(self.places[0]).await;
        self.registry.changes(&self.falls_due).await;
    }

    fn collector(&self, places: &'static [&'static str]) -> Collector {
        Collector::batch(self.registry, &[self.repository], self.without, places)
    }
}
