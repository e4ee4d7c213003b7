//! The engines that speak S3, against a real server over the network, and what they make of its
//! failures.

mod deletes;
mod failures;
mod uploads;
mod world;
