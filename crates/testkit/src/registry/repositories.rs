//! Repositories: who owns them, who may do what, how many tags each gets, how large they are.

use std::collections::HashSet;

use super::{
    builder::{Builder, DAY_MS, Repository},
    rows::Cell::{self, Bool, Int, Null, Text, Time},
};

/// `repository.state` of one that can be pulled but not pushed.
const READ_ONLY: i64 = 1;

impl Builder {
    /// Makes all repositories with everything in them.
    pub(super) fn make_repositories(&mut self) {
        let shares = self.share_out_tags();
        for (number, tags) in shares.into_iter().enumerate() {
            let owner = number % self.namespaces.len();
            let mut repository = self.make_repository(number, owner);
            self.grant(&repository, owner);
            self.make_tags(&mut repository, tags);
            if self.random.chance(self.spec.uploads_fraction) {
                self.make_uploads(&repository);
            }
            let size = self.size_of(&repository.blobs);
            let cells = [
                Int(repository.id),
                Cell::size(size),
                Int(self.now_ms),
                Bool(true),
            ];
            self.tables.quotarepositorysize.add(&cells);
            self.namespaces[owner].blobs.extend(&repository.blobs);
        }
        self.make_namespace_sizes();
    }

    /// Deals the tags: every repository gets one while there are any, and the rest goes by rank, so
    /// that a few are large and many are small.
    fn share_out_tags(&mut self) -> Vec<u32> {
        let (count, tags) = (self.spec.repositories, self.spec.tags);
        let repositories = usize::try_from(count).unwrap_or(usize::MAX);
        let mut shares = vec![1; repositories];
        let Some(mut left) = tags.checked_sub(count) else {
            shares
                .iter_mut()
                .skip(usize::try_from(tags).unwrap_or(0))
                .for_each(|share| *share = 0);
            return shares;
        };
        let weight = |rank: u32| 1.0 / f64::from(rank + 10);
        let mut weights: f64 = (0..count).map(weight).sum();
        for (rank, share) in (0..count).zip(&mut shares) {
            let part = f64::from(left) * weight(rank) / weights;
            weights -= weight(rank);
            let extra = if rank + 1 == count {
                left
            } else {
                rounded(part).min(left)
            };
            *share += extra;
            left -= extra;
        }
        // Large ones shall not all belong to the first owners.
        for last in (1..shares.len()).rev() {
            shares.swap(last, self.random.index(last + 1));
        }
        shares
    }

    fn make_repository(&mut self, number: usize, owner: usize) -> Repository {
        let (owner_id, window_ms) = (self.namespaces[owner].id, self.namespaces[owner].window_ms);
        let (name, badge_token) = (format!("repository{number}"), self.random.uuid());
        let is_public = self.random.chance(0.3);
        let state = if self.random.chance(0.01) {
            READ_ONLY
        } else {
            0
        };
        let id = self.tables.repository.add(&[
            Int(owner_id),
            Text(&name),
            Int(if is_public {
                self.enums.public
            } else {
                self.enums.private
            }),
            Null,
            Text(&badge_token),
            Int(self.enums.image_repository),
            Bool(false),
            Int(state),
        ]);
        let yesterday = Time(self.now_ms - DAY_MS);
        let cells = [Int(id), Int(0), yesterday];
        self.tables.repositoryactioncount.add(&cells);
        let cells = [Int(id), Int(0), yesterday];
        self.tables.repositorysearchscore.add(&cells);
        self.counts.repositories += 1;
        let first = self.random.index(self.base_layers.len() - 3);
        let layers = 2 + self.random.index(2);
        Repository {
            id,
            window_ms,
            base: self.base_layers[first..first + layers].to_vec(),
            layers: Vec::new(),
            blobs: HashSet::new(),
            digests: HashSet::new(),
        }
    }

    /// Grants what its owner would have granted: to teams in an organization, to the user else,
    /// and now and then to a collaborator and a robot.
    fn grant(&mut self, repository: &Repository, owner: usize) {
        let [admin, write, read] = self.enums.roles;
        let (owner_id, robot_id) = {
            let namespace = &self.namespaces[owner];
            (namespace.id, namespace.robots.first().copied())
        };
        match self.namespaces[owner].teams[..] {
            [_owners, creators, members] => {
                let role_id = *self.random.pick(&[write, read]);
                self.grant_one(repository, Int(creators), Null, write);
                self.grant_one(repository, Int(members), Null, role_id);
            }
            _ => self.grant_one(repository, Null, Int(owner_id), admin),
        }
        let collaborator = *self.random.pick(&self.people);
        if collaborator != owner_id && self.random.chance(0.3) {
            let role_id = *self.random.pick(&[admin, write, read]);
            self.grant_one(repository, Null, Int(collaborator), role_id);
        }
        if let Some(robot_id) = robot_id
            && self.random.chance(0.3)
        {
            self.grant_one(repository, Null, Int(robot_id), write);
        }
    }

    fn grant_one(&mut self, repository: &Repository, team: Cell<'_>, user: Cell<'_>, role: i64) {
        let cells = [team, user, Int(repository.id), Int(role)];
        self.tables.repositorypermission.add(&cells);
    }

    /// Writes the totals of the namespaces, which count a blob of several repositories once.
    fn make_namespace_sizes(&mut self) {
        for index in 0..self.namespaces.len() {
            let (id, size) = {
                let namespace = &self.namespaces[index];
                (namespace.id, self.size_of(&namespace.blobs))
            };
            let cells = [Int(id), Cell::size(size), Int(self.now_ms), Bool(true)];
            self.tables.quotanamespacesize.add(&cells);
        }
    }

    /// Adds up blobs.
    fn size_of(&self, blobs: &HashSet<usize>) -> u64 {
        blobs.iter().map(|blob| self.blobs[*blob].bytes).sum()
    }
}

/// Rounds a positive number that is far below the bound of its type.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a u32 is a u32; a cast saturates"
)]
fn rounded(number: f64) -> u32 {
    number.round() as u32
}
