//! The Lua text of each verb.
use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};

use super::keys::Keys;
use crate::Queue;

/// One script.
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
    Pause,
    Cancel,
    Dead,
    Clear,
    Find,
    Why,
    Register,
    Workers,
    Note,
}

/// Puts the head, the shared parts and the verb's own part together. The flags tell Redis what a
/// script may do: what frees or keeps memory also runs when memory is full, what only reads also
/// runs on a replica.
macro_rules! script {
    ($flags:literal, $($file:literal),*) => {
        LazyLock::new(|| {
            Script::new(concat!(
                "#!lua flags=",
                $flags,
                "\n",
                include_str!("scripts/prelude.lua"),
                $(include_str!(concat!("scripts/", $file, ".lua")),)*
            ))
        })
    };
}

static ENQUEUE: LazyLock<Script> = script!("", "lanes", "enqueue");
static FETCH: LazyLock<Script> = script!("allow-oom", "lanes", "gates", "fetch");
static ADOPT: LazyLock<Script> = script!("allow-oom", "leases", "adopt");
static RENEW: LazyLock<Script> = script!("allow-oom", "renew");
static FINISH: LazyLock<Script> = script!("allow-oom", "lanes", "gates", "finish");
static LEAVE: LazyLock<Script> = script!("allow-oom", "lanes", "leave");
static COUNTS: LazyLock<Script> = script!("no-writes", "lanes", "counts");
static SHOW: LazyLock<Script> = script!("no-writes", "lanes", "look", "show");
static PAUSE: LazyLock<Script> = script!("allow-oom", "pause");
static CANCEL: LazyLock<Script> = script!("allow-oom", "lanes", "gates", "cancel");
static DEAD: LazyLock<Script> = script!("allow-oom", "lanes", "dead");
static CLEAR: LazyLock<Script> = script!("allow-oom", "lanes", "gates", "clear");
static FIND: LazyLock<Script> = script!("no-writes", "leases", "look", "find");
static WHY: LazyLock<Script> = script!("no-writes", "look", "why");
static REGISTER: LazyLock<Script> = script!("allow-oom", "register");
static WORKERS: LazyLock<Script> = script!("no-writes", "workers");
static NOTE: LazyLock<Script> = script!("", "note");

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
            Self::Pause => &PAUSE,
            Self::Cancel => &CANCEL,
            Self::Dead => &DEAD,
            Self::Clear => &CLEAR,
            Self::Find => &FIND,
            Self::Why => &WHY,
            Self::Register => &REGISTER,
            Self::Workers => &WORKERS,
            Self::Note => &NOTE,
        };
        let mut call = script.prepare_invoke();
        for key in Keys::of(queue).all() {
            call.key(key);
        }
        call
    }
}
