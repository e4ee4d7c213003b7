//! The Lua text of each verb.
use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};

use super::keys::Keys;
use crate::Queue;

/// One script. The flags tell Redis what it may do: what frees or keeps memory also runs when
/// memory is full, what only reads also runs on a replica.
#[derive(Clone, Copy)]
pub(super) enum Verb {
    Enqueue,
    Fetch,
    Adopt,
    Renew,
    Finish,
    Leave,
    Counts,
    Show,
}

/// Puts the head, the shared part and the verb's own part together.
macro_rules! script {
    ($flags:literal, $file:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(
                "#!lua flags=",
                $flags,
                "\n",
                include_str!("scripts/prelude.lua"),
                include_str!($file)
            ))
        })
    };
}

static ENQUEUE: LazyLock<Script> = script!("", "scripts/enqueue.lua");
static FETCH: LazyLock<Script> = script!("", "scripts/fetch.lua");
static ADOPT: LazyLock<Script> = script!("allow-oom", "scripts/adopt.lua");
static RENEW: LazyLock<Script> = script!("allow-oom", "scripts/renew.lua");
static FINISH: LazyLock<Script> = script!("allow-oom", "scripts/finish.lua");
static LEAVE: LazyLock<Script> = script!("allow-oom", "scripts/leave.lua");
static COUNTS: LazyLock<Script> = script!("no-writes", "scripts/counts.lua");
static SHOW: LazyLock<Script> = script!("no-writes", "scripts/show.lua");

impl Verb {
    /// Prepares a call of the verb on a queue.
    pub(super) fn on(self, queue: &Queue) -> ScriptInvocation<'static> {
        let script: &'static Script = match self {
            Self::Enqueue => &ENQUEUE,
            Self::Fetch => &FETCH,
            Self::Adopt => &ADOPT,
            Self::Renew => &RENEW,
            Self::Finish => &FINISH,
            Self::Leave => &LEAVE,
            Self::Counts => &COUNTS,
            Self::Show => &SHOW,
        };
        let mut call = script.prepare_invoke();
        for key in Keys::of(queue).all() {
            call.key(key);
        }
        call
    }
}
