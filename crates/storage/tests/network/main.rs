//! The engines that speak S3, against a real server over the network, and what they make of its
//! failures.
#![expect(clippy::print_stdout, reason = "a figure beside what it is about")]

mod deletes;
mod failures;
mod uploads;
mod world;
