//! The contract's sections 2 to 6 as a plain model: sets and loops, no index, no cache, nothing of the vault's own code.

use std::collections::BTreeSet;

/// The projects that inputs name.
pub const PROJECTS: [&str; 3] = ["acme/app", "acme/web", "12345"];
/// The providers that inputs name; the second and the third are one provider in two spellings.
pub const PROVIDERS: [&str; 4] = ["github", "azuredevops", "azure-devops", "custom"];
/// The names that inputs give.
pub const NAMES: [&str; 2] = ["one", "two"];
/// The revisions of a credential that a vault keeps.
const KEPT: usize = 5;

/// A project as a narrowing means it: another one registered under its identifier is another one.
type Instance = (usize, u32);

/// A refusal, by the kind that a client can tell apart.
#[expect(clippy::enum_variant_names, reason = "no integration, no project: read with the type's name")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum No {
    Denied,
    Exists,
    InUse,
    NoIntegration,
    NoProject,
    NoRevision,
    NoToken,
    NoUser,
    Nothing,
    Unauthenticated,
    Unregistered,
}

/// The narrowing of a caller; `None` is everything.
#[derive(Debug, Clone, Default)]
pub struct Narrowing {
    pub projects: Option<BTreeSet<Instance>>,
    pub providers: Option<BTreeSet<usize>>,
    pub integrations: Option<BTreeSet<usize>>,
}

#[derive(Debug)]
pub struct Item {
    pub provider: usize,
    pub name: Option<usize>,
    /// `None` is global.
    pub projects: Option<BTreeSet<usize>>,
    /// Every value that it ever had; its revision is their number.
    pub values: Vec<String>,
    /// The member that stored it; none for the owner.
    pub creator: Option<usize>,
    pub is_deleted: bool,
}

impl Item {
    /// The key under which one hides another of the same scope: the provider, and for `custom` the name with it.
    fn group(&self) -> (usize, Option<usize>) {
        let service = service(self.provider);
        (service, self.name.filter(|_| PROVIDERS[service] == "custom"))
    }

    /// The value of a kept revision.
    pub fn kept(&self, revision: usize) -> Option<&String> {
        let oldest = self.values.len().saturating_sub(KEPT) + 1;
        self.values.get(revision.checked_sub(1)?).filter(|_| revision >= oldest)
    }
}

#[derive(Debug)]
pub struct Token {
    pub is_revoked: bool,
    pub narrowing: Narrowing,
}

#[derive(Debug)]
pub struct Member {
    pub email: usize,
    pub projects: Option<BTreeSet<Instance>>,
    pub is_disabled: bool,
    pub is_deleted: bool,
    /// True once a change has ended the session that the input holds.
    pub is_logged_out: bool,
}

/// A holder of a bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    Owner,
    Member(usize),
    Token(usize),
}

/// The filters of a read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    pub provider: Option<usize>,
    pub project: Option<usize>,
    pub name: Option<usize>,
}

#[derive(Debug, Default)]
pub struct Model {
    /// For each project: registered now, and how often it was registered.
    pub projects: [(bool, u32); PROJECTS.len()],
    pub items: Vec<Item>,
    pub tokens: Vec<Token>,
    pub members: Vec<Member>,
}

/// The provider of both spellings.
fn service(provider: usize) -> usize {
    if PROVIDERS[provider] == "azure-devops" { 1 } else { provider }
}

impl Model {
    pub fn is_registered(&self, project: usize) -> bool {
        self.projects[project].0
    }

    /// The project that has or last had an identifier.
    pub fn instance(&self, project: usize) -> Instance {
        (project, self.projects[project].1)
    }

    pub fn check_registered(&self, projects: &BTreeSet<usize>) -> Result<(), No> {
        if projects.iter().all(|project| self.is_registered(*project)) {
            Ok(())
        } else {
            Err(No::Unregistered)
        }
    }

    /// The narrowing of a caller that is let in.
    pub fn admit(&self, caller: Caller) -> Result<Narrowing, No> {
        match caller {
            Caller::Owner => Ok(Narrowing::default()),
            Caller::Member(at) => {
                let member = &self.members[at];
                if member.is_disabled || member.is_deleted || member.is_logged_out {
                    return Err(No::Unauthenticated);
                }
                Ok(Narrowing { projects: member.projects.clone(), ..Narrowing::default() })
            }
            Caller::Token(at) if self.tokens[at].is_revoked => Err(No::Unauthenticated),
            Caller::Token(at) => Ok(self.tokens[at].narrowing.clone()),
        }
    }

    fn admits(&self, narrowing: &Narrowing, project: usize) -> bool {
        narrowing.projects.as_ref().is_none_or(|held| held.contains(&self.instance(project)))
    }

    /// The answer to a caller that stores something for these projects; `None` is for all of them.
    pub fn may_store(&self, narrowing: &Narrowing, projects: Option<&BTreeSet<usize>>) -> bool {
        match projects {
            None => narrowing.projects.is_none(),
            Some(projects) => projects.iter().all(|project| self.admits(narrowing, *project)),
        }
    }

    /// The answer to a caller that changes a credential: an owner any that there is, a member what it could store now.
    pub fn may_change(&self, caller: Caller, at: usize) -> Result<(), No> {
        let narrowing = self.admit(caller)?;
        let item = self.items.get(at).filter(|item| !item.is_deleted);
        match (caller, item) {
            (Caller::Token(_), _) => Err(No::Denied),
            (Caller::Owner, None) => Err(No::NoIntegration),
            (Caller::Owner, Some(_)) => Ok(()),
            (Caller::Member(who), Some(item)) if item.creator == Some(who) => {
                if self.may_store(&narrowing, item.projects.as_ref()) { Ok(()) } else { Err(No::Denied) }
            }
            (Caller::Member(_), _) => Err(No::Denied),
        }
    }

    /// Allows what is an owner's alone.
    pub fn owner(&self, caller: Caller) -> Result<(), No> {
        self.admit(caller)?;
        if caller == Caller::Owner { Ok(()) } else { Err(No::Denied) }
    }

    /// A project's own, and the global ones of the groups that it has none of.
    fn of_project(&self, project: usize) -> BTreeSet<usize> {
        let live = || self.items.iter().enumerate().filter(|(_, item)| !item.is_deleted);
        let is_own = |item: &Item| item.projects.as_ref().is_some_and(|held| held.contains(&project));
        let has_own = |group| live().any(|(_, item)| is_own(item) && item.group() == group);
        let chosen =
            live().filter(|(_, item)| is_own(item) || (item.projects.is_none() && !has_own(item.group())));
        chosen.map(|(at, _)| at).collect()
    }

    /// Contract §3: the items whose credentials a read gives.
    pub fn read(&self, caller: Caller, filter: Filter) -> Result<BTreeSet<usize>, No> {
        let narrowing = self.admit(caller)?;
        let has_provider = |provider: usize| {
            let is_one = |held: &usize| service(*held) == service(provider);
            narrowing.providers.as_ref().is_none_or(|held| held.iter().any(is_one))
        };
        if filter.provider.is_some_and(|provider| !has_provider(provider)) {
            return Err(No::Denied);
        }
        let mut found = match (filter.project, &narrowing.projects) {
            (Some(project), _) if !self.admits(&narrowing, project) => return Err(No::Denied),
            (Some(project), _) if !self.is_registered(project) => return Err(No::NoProject),
            (Some(project), _) => self.of_project(project),
            (None, Some(held)) => {
                let alive = |of: &&Instance| self.is_registered(of.0) && self.instance(of.0) == **of;
                held.iter().filter(alive).flat_map(|of| self.of_project(of.0)).collect()
            }
            (None, None) => (0..self.items.len()).filter(|at| !self.items[*at].is_deleted).collect(),
        };
        found.retain(|at| {
            let item = &self.items[*at];
            filter.provider.is_none_or(|provider| service(provider) == service(item.provider))
                && (filter.name.is_none() || item.name == filter.name)
                && has_provider(item.provider)
                && narrowing.integrations.as_ref().is_none_or(|held| held.contains(at))
        });
        if found.is_empty() { Err(No::Nothing) } else { Ok(found) }
    }

    pub fn register(&mut self, project: usize) -> Result<(), No> {
        if self.is_registered(project) {
            return Err(No::Exists);
        }
        self.projects[project] = (true, self.projects[project].1 + 1);
        Ok(())
    }

    pub fn unregister(&mut self, project: usize) -> Result<(), No> {
        if !self.is_registered(project) {
            return Err(No::NoProject);
        }
        let names = |item: &Item| item.projects.as_ref().is_some_and(|held| held.contains(&project));
        if self.items.iter().any(|item| !item.is_deleted && names(item)) {
            return Err(No::InUse);
        }
        self.projects[project].0 = false;
        Ok(())
    }

    /// The identifiers that a member is narrowed to.
    pub fn held(&self, member: usize) -> Option<BTreeSet<usize>> {
        let held = self.members[member].projects.as_ref()?;
        Some(held.iter().filter(|of| self.instance(of.0) == **of).map(|of| of.0).collect())
    }

    /// The member that has an e-mail address now.
    pub fn member(&self, email: usize) -> Option<usize> {
        self.members.iter().position(|member| member.email == email && !member.is_deleted)
    }
}
