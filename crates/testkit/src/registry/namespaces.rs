//! Users, organizations with their teams, and robots.

use std::collections::HashSet;

use super::{
    builder::{Builder, DAY_MS},
    rows::Cell::{Bool, Int, Null, Text, Time},
};

/// How long deleted tags can be restored, in seconds; dealt round robin, most keep Quay's default.
const WINDOWS_S: [i64; 10] = [
    1_209_600, 86_400, 1_209_600, 1_209_600, 2_419_200, 1_209_600, 0, 1_209_600, 86_400, 1_209_600,
];

/// Somebody who owns repositories.
#[derive(Debug, Clone)]
pub(super) struct Namespace {
    pub(super) id: i64,
    /// How long its deleted tags can be restored, in milliseconds.
    pub(super) window_ms: i64,
    /// Its owners', creators' and members' team; empty for a user.
    pub(super) teams: Vec<i64>,
    pub(super) robots: Vec<i64>,
    /// Indexes of the blobs that its manifests hold, to count its size.
    pub(super) blobs: HashSet<usize>,
}

/// What a row of the user table stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Person,
    Organization,
    Robot,
}

impl Builder {
    /// Makes all users, organizations, teams and robots.
    pub(super) fn make_namespaces(&mut self) {
        let prefix = self.spec.prefix.clone();
        for number in 0..self.spec.users.max(1) {
            let name = format!("{prefix}user{number}");
            let id = self.make_user(&name, Kind::Person, number);
            self.people.push(id);
            self.add_namespace(id, &name, number, Vec::new());
        }
        for number in 0..self.spec.organizations {
            let name = format!("{prefix}org{number}");
            let id = self.make_user(&name, Kind::Organization, number);
            let teams = self.make_teams(id);
            self.add_namespace(id, &name, number, teams);
        }
    }

    /// Makes a namespace's robots and takes it into the list of owners.
    fn add_namespace(&mut self, id: i64, name: &str, number: u32, teams: Vec<i64>) {
        let robots = (0..self.spec.robots_per_namespace)
            .map(|robot| self.make_robot(&format!("{name}+robot{robot}"), number))
            .collect();
        self.namespaces.push(Namespace {
            id,
            window_ms: window_s(number) * 1_000,
            teams,
            robots,
            blobs: HashSet::new(),
        });
    }

    fn make_user(&mut self, name: &str, kind: Kind, number: u32) -> i64 {
        let (uuid, email) = (self.random.uuid(), format!("{name}@example.test"));
        let created = self.now_ms - 400 * DAY_MS;
        let count = match kind {
            Kind::Person => &mut self.counts.users,
            Kind::Organization => &mut self.counts.organizations,
            Kind::Robot => &mut self.counts.robots,
        };
        *count += 1;
        self.tables.user.add(&[
            Text(&uuid),
            Text(name),
            Null, // no password: nobody logs in
            Text(&email),
            Bool(kind != Kind::Robot),
            Null,
            Bool(kind == Kind::Organization),
            Bool(kind == Kind::Robot),
            Bool(false),
            Int(0),
            Time(created),
            Int(window_s(number)),
            Bool(true),
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
            Time(created),
            Null,
        ])
    }

    fn make_robot(&mut self, name: &str, number: u32) -> i64 {
        let id = self.make_user(name, Kind::Robot, number);
        let cells = [Int(id), Text(""), Text("{}")];
        self.tables.robotaccountmetadata.add(&cells);
        // A token that no key decrypts: nothing may log in to a generated registry.
        let token = format!("v0$$generated-{id}");
        let cells = [Int(id), Text(&token), Bool(true)];
        self.tables.robotaccounttoken.add(&cells);
        id
    }

    /// Makes an organization's teams, one for each role, with members.
    fn make_teams(&mut self, organization_id: i64) -> Vec<i64> {
        let names = ["owners", "creators", "members"];
        let roles = names.into_iter().zip(self.enums.team_roles);
        let teams: Vec<i64> = roles
            .map(|(name, role_id)| {
                let cells = [Text(name), Int(organization_id), Int(role_id), Text("")];
                self.tables.team.add(&cells)
            })
            .collect();
        for (team_id, members) in teams.iter().zip([1, 2, 5]) {
            self.make_members(*team_id, members);
        }
        teams
    }

    /// Puts up to `count` different people into a team: neighbours in the list of all people.
    fn make_members(&mut self, team_id: i64, count: usize) {
        let first = self.random.index(self.people.len());
        for step in 0..count.min(self.people.len()) {
            let user_id = self.people[(first + step) % self.people.len()];
            self.tables.teammember.add(&[Int(user_id), Int(team_id)]);
        }
    }
}

/// Deals a window to the namespace of a number.
fn window_s(number: u32) -> i64 {
    let turn = usize::try_from(number).unwrap_or(0);
    WINDOWS_S[turn % WINDOWS_S.len()]
}
