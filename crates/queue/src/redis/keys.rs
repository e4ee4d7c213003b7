//! The names of a queue's keys.
use crate::Queue;

/// What the keys of a queue are called, in the order in which the scripts name them.
const NAMES: [&str; 15] = [
    "ready", "delayed", "leased", "leases", "jobs", "attempts", "crashes", "dead", "errors",
    "unique", "marks", "idle", "wake", "stats", "seen",
];

/// Makes the keys of one queue, all with its name as hash tag.
pub(crate) struct Keys<'a>(&'a Queue);

impl<'a> Keys<'a> {
    pub(crate) fn of(queue: &'a Queue) -> Self {
        Self(queue)
    }

    /// All keys, as every script takes them.
    pub(crate) fn all(&self) -> impl Iterator<Item = String> {
        NAMES.iter().map(|name| self.named(name))
    }

    /// The list an idle worker waits on.
    pub(crate) fn wake(&self) -> String {
        self.named("wake")
    }

    /// Any other key of the queue.
    pub(crate) fn named(&self, name: &str) -> String {
        format!("qh:{{{}}}:{name}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_carry_one_hash_tag() {
        let queue = Queue::new("gc");
        let keys: Vec<_> = Keys::of(&queue).all().collect();
        assert_eq!(keys[0], "qh:{gc}:ready");
        assert!(keys.iter().all(|key| key.starts_with("qh:{gc}:")));
        assert!(keys.contains(&Keys::of(&queue).wake()));
    }

    #[test]
    fn scripts_name_the_keys_in_this_order() {
        let prelude = include_str!("scripts/prelude.lua");
        for (at, name) in NAMES.iter().enumerate() {
            let line = format!("local {} = KEYS[{}]", name.to_uppercase(), at + 1);
            assert!(prelude.contains(&line), "`{line}` is missing");
        }
        assert!(!prelude.contains(&format!("KEYS[{}]", NAMES.len() + 1)));
    }

    /// What is named here and there is told to those who look with `redis-cli`.
    #[test]
    fn every_key_is_told_of() {
        let page = include_str!("../../../../docs/wire.md");
        let scripts = [
            include_str!("scripts/prelude.lua"),
            include_str!("scripts/lanes.lua"),
            include_str!("scripts/gates.lua"),
            include_str!("scripts/fetch.lua"),
            include_str!("scripts/finish.lua"),
            include_str!("scripts/cancel.lua"),
            include_str!("scripts/register.lua"),
            include_str!("scripts/pause.lua"),
            include_str!("scripts/note.lua"),
        ];
        let named = scripts
            .iter()
            .flat_map(|script| script.split("key('").skip(1));
        let named = named.filter_map(|rest| rest.split(['\'', ':']).next());
        let mut all: Vec<_> = NAMES.into_iter().chain(named).collect();
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 30, "{all:?}");
        for name in all {
            let told = [format!("`{name}`"), format!("`{name}:<")];
            assert!(
                told.iter().any(|told| page.contains(told)),
                "docs/wire.md does not tell of `{name}`"
            );
        }
    }
}
