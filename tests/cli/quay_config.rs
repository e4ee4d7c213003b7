//! Quay's own `config.yaml`, written by a test.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU32, Ordering},
};

use quayhand_testkit::RedisServer;

use crate::{program::Quayhand, scene::Scene};

/// The lines of a `config.yaml`, by key.
#[derive(Clone)]
pub(crate) struct QuayConfig {
    name: String,
    lines: Vec<(String, String)>,
}

impl QuayConfig {
    /// Describes a scene with a locks' Redis that no other test uses.
    pub(crate) async fn of(scene: &Scene) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let redis = RedisServer::shared().await.expect("Redis");
        let (port, db) = (redis.port(), NEXT.fetch_add(1, Ordering::Relaxed));
        let name = "config".to_owned();
        let lines = Vec::new();
        Self { name, lines }
            .with("SETUP_COMPLETE", "true")
            .with("DB_URI", &scene.url())
            .with(
                "DISTRIBUTED_STORAGE_CONFIG",
                &scene.storage().await.to_string(),
            )
            .with(
                "USER_EVENTS_REDIS",
                &format!("{{host: 127.0.0.1, port: {port}, db: {db}}}"),
            )
    }

    /// Gives the file another name than `config`, for two in one scene.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets a key to what stands behind its colon.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.lines.retain(|(known, _)| known != key);
        self.lines.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a key out.
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.lines.retain(|(known, _)| known != key);
        self
    }

    /// Writes the file, and returns the program that is told of nothing else.
    pub(crate) fn program(&self, scene: &Scene) -> Quayhand {
        let mut text = String::new();
        for (key, value) in &self.lines {
            writeln!(text, "{key}: {value}").expect("a string takes everything");
        }
        let file = scene.write(&format!("{}.yaml", self.name), &text);
        Quayhand::default().file("--quay-config", &file)
    }
}
