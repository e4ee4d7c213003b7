//! What the supervisor promises: nothing lost, nothing burnt, nothing stuck.
mod attempts;
mod drain;
mod entries;
mod ledger;
mod notify;
mod orders;
mod outages;
mod policies;
mod records;
mod start;
mod ticks;
