//! A private Redis Cluster: three nodes with all slots between them, and no replicas.
use std::{fmt::Write as _, net::Ipv4Addr, time::Duration};

use super::{RedisOptions, RedisServer, START_DEADLINE};
use crate::TestkitError;

/// How many nodes there are.
const NODES: usize = 3;
/// How many slots a cluster has.
const SLOTS: usize = 16_384;

/// Three running nodes; dropping it ends them.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the nodes, makes them one cluster and waits until each says that it is whole. Cost:
    /// two to four seconds.
    ///
    /// # Errors
    /// As [`RedisServer::start`]; nodes that do not come together.
    pub async fn start() -> Result<Self, TestkitError> {
        Self::start_with(&RedisOptions::default()).await
    }

    /// Starts nodes that are set up as `options` say.
    ///
    /// # Errors
    /// As [`RedisCluster::start`].
    pub async fn start_with(options: &RedisOptions) -> Result<Self, TestkitError> {
        let options = RedisOptions {
            cluster: true,
            ..options.clone()
        };
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            nodes.push(RedisServer::start_with(&options).await?);
        }
        let cluster = Self { nodes };
        cluster.join().await?;
        cluster.wait_until_whole().await?;
        Ok(cluster)
    }

    /// The nodes.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The nodes, to be killed and restarted.
    pub fn nodes_mut(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }

    /// Returns the cluster's URL: the first node, then the others.
    pub fn url(&self) -> String {
        let mut url = format!("redis-cluster://127.0.0.1:{}", self.nodes[0].port);
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            let mark = if at == 1 { '?' } else { '&' };
            // A string takes everything.
            let _infallible = write!(url, "{mark}node=127.0.0.1:{}", node.port);
        }
        url
    }

    /// Waits until every node says that all slots are served.
    ///
    /// # Errors
    /// When they do not within 20 s.
    pub async fn wait_until_whole(&self) -> Result<(), TestkitError> {
        let polling = async {
            for node in &self.nodes {
                while !is_whole(node).await {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let whole = tokio::time::timeout(START_DEADLINE, polling).await;
        let first = &self.nodes[0].keeper;
        whole.map_err(|_| first.not_started("Redis Cluster", "the nodes do not come together"))
    }

    /// Gives each node its slots and its own epoch, and lets them meet.
    async fn join(&self) -> Result<(), TestkitError> {
        let mut meetings = Vec::new();
        for node in &self.nodes[1..] {
            meetings.push([node.port.to_string(), bus_port(node).await]);
        }
        for (at, node) in self.nodes.iter().enumerate() {
            let (from, to) = (SLOTS * at / NODES, SLOTS * (at + 1) / NODES - 1);
            let (from, to, epoch) = (from.to_string(), to.to_string(), (at + 1).to_string());
            let slots = ["CLUSTER", "ADDSLOTSRANGE", &from, &to];
            order(node, &slots).await?;
            order(node, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
        }
        let host = Ipv4Addr::LOCALHOST.to_string();
        for [port, bus] in &meetings {
            let meet = ["CLUSTER", "MEET", &host, port, bus];
            order(&self.nodes[0], &meet).await?;
        }
        Ok(())
    }
}

/// Sends a command that must be answered by OK.
async fn order(node: &RedisServer, words: &[&str]) -> Result<(), TestkitError> {
    match node.say(&[words]).await {
        Ok(answer) if !answer.contains("-ERR") => Ok(()),
        Ok(answer) => Err(node.keeper.not_started("Redis Cluster", answer.trim())),
        Err(error) => Err(node.keeper.not_started("Redis Cluster", error.to_string())),
    }
}

/// Asks a node for the port on which nodes talk to each other.
async fn bus_port(node: &RedisServer) -> String {
    let nodes = node.say(&[&["CLUSTER", "NODES"]]).await.unwrap_or_default();
    let port = nodes.split_once('@').map(|(_, rest)| rest);
    let digits = port
        .unwrap_or_default()
        .split(|c: char| !c.is_ascii_digit());
    digits.take(1).collect()
}

async fn is_whole(node: &RedisServer) -> bool {
    let info = node.say(&[&["CLUSTER", "INFO"]]).await.unwrap_or_default();
    let known = format!("cluster_known_nodes:{NODES}");
    [known.as_str(), "cluster_state:ok"]
        .iter()
        .all(|expected| info.lines().any(|line| line == *expected))
}
