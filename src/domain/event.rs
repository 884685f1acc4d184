//! Audit events: closed sets of actions and outcomes, and details from an allow-list of keys.

use std::{fmt, net::IpAddr, str::FromStr};

use super::{
    Actor, IntegrationId, Invalid, ProjectId, Provider, RequestId, Revision, Timestamp, text_enum::text_enum,
};

text_enum! {
    /// An action, as `noun.verb`.
    Action, "action", "an action like credentials.read" {
        /// A credential was disclosed.
        CredentialsRead = "credentials.read",
        /// A provider's token was minted.
        CredentialsMint = "credentials.mint",
        /// An integration was stored.
        IntegrationCreate = "integration.create",
        /// Its metadata changed.
        IntegrationUpdate = "integration.update",
        /// Its credential was replaced.
        IntegrationRotate = "integration.rotate",
        /// An older credential was made current again.
        IntegrationRollback = "integration.rollback",
        /// It was deleted.
        IntegrationDelete = "integration.delete",
        /// Integrations were listed.
        IntegrationList = "integration.list",
        /// One integration's metadata was read.
        IntegrationRead = "integration.read",
        /// A member's integration hides one that is not its own.
        IntegrationShadow = "integration.shadow",
        /// A project was registered.
        ProjectCreate = "project.create",
        /// A project was deleted.
        ProjectDelete = "project.delete",
        /// An application token was made.
        TokenCreate = "token.create",
        /// An application token lost a project that was registered anew, or got an earlier end.
        TokenUpdate = "token.update",
        /// An application token was taken back.
        TokenRevoke = "token.revoke",
        /// Application tokens were listed.
        TokenList = "token.list",
        /// The list of what is due for rotation was read.
        DueList = "due.list",
        /// A user was made.
        UserCreate = "user.create",
        /// A user changed.
        UserUpdate = "user.update",
        /// A user was removed.
        UserDelete = "user.delete",
        /// Users were listed.
        UserList = "user.list",
        /// One user was read.
        UserRead = "user.read",
        /// Somebody logged in.
        SessionLogin = "session.login",
        /// A session was refreshed.
        SessionRefresh = "session.refresh",
        /// A session ended.
        SessionLogout = "session.logout",
        /// A caller was refused on a route without an action of its own.
        RequestDenied = "request.denied",
        /// A caller's further refusals within one minute, summed up.
        RequestRefused = "request.refused",
        /// The log was exported.
        AuditExport = "audit.export",
        /// Old events moved to an archive.
        AuditArchive = "audit.archive",
        /// The log was read.
        AuditRead = "audit.read",
        /// A backup was made.
        BackupCreate = "backup.create",
        /// The file was made.
        VaultInit = "vault.init",
        /// The vault was unlocked.
        VaultUnlock = "vault.unlock",
        /// The vault was locked.
        VaultLock = "vault.lock",
        /// The vault key was replaced.
        VaultRekey = "vault.rekey",
        /// The file was compacted.
        VaultCompact = "vault.compact",
        /// The file was brought to a newer format.
        VaultMigrate = "vault.migrate",
        /// The key slots changed.
        VaultSlot = "vault.slot",
        /// An owner was recovered at the host.
        VaultRecover = "vault.recover",
        /// The file was restored from a backup.
        VaultRestore = "vault.restore",
        /// Requests without a valid token and failed logins, summed up.
        AuthRejected = "auth.rejected",
        /// The server started.
        ServerStart = "server.start",
        /// The server stopped.
        ServerStop = "server.stop",
    }
}

text_enum! {
    /// The outcome of an action.
    Outcome, "outcome", "one of allowed, denied, failed" {
        /// It was done.
        Allowed = "allowed",
        /// The caller's role or narrowing forbids it.
        Denied = "denied",
        /// It could not be done.
        Failed = "failed",
    }
}

text_enum! {
    /// The keys that a detail may have; there is no other way to put a word into the log.
    DetailKey, "detail", "from the allow-list" {
        /// True if the credential that was disclosed is a canary.
        Alarm = "alarm",
        /// The length of a text that is too long for its record, in bytes.
        Bytes = "bytes",
        /// True if a stored credential is a canary.
        Canary = "canary",
        /// The number of a one-time code on its printed list.
        Code = "code",
        /// A count.
        Count = "count",
        /// True if a late clock was accepted.
        ClockAccepted = "clockAccepted",
        /// True if a user is kept out.
        Disabled = "disabled",
        /// An e-mail address.
        Email = "email",
        /// The end of a token, rolled or minted.
        ExpiresAt = "expiresAt",
        /// The changed fields.
        Fields = "fields",
        /// The number of failed tries before.
        FailedTries = "failedTries",
        /// The first sequence of a range.
        FirstSequence = "firstSequence",
        /// The revision that was made current again.
        FromRevision = "fromRevision",
        /// The base64 of a minted token's SHA-256.
        HashedToken = "hashedToken",
        /// An id.
        Id = "id",
        /// Ids of integrations.
        Integrations = "integrations",
        /// True if it is for every project.
        IsGlobal = "isGlobal",
        /// The last sequence of a range.
        LastSequence = "lastSequence",
        /// The number of refused logins.
        Logins = "logins",
        /// A label.
        Name = "name",
        /// The newest time of all records that are archived.
        NewestTime = "newestTime",
        /// True if a user has a second factor.
        Otp = "otp",
        /// From how many addresses.
        Peers = "peers",
        /// A project identifier that is too long for its record.
        Project = "project",
        /// Project identifiers.
        Projects = "projects",
        /// Providers.
        Providers = "providers",
        /// A code that names the reason.
        Reason = "reason",
        /// A role.
        Role = "role",
        /// The token that a new one succeeds.
        Rolls = "rolls",
        /// The token that succeeds this one.
        RolledTo = "rolledTo",
        /// The hash of a text that is too long for its record.
        Sha256 = "sha256",
        /// The number of requests without a valid token.
        Tokens = "tokens",
        /// The program's version.
        Version = "version",
    }
}

/// The value of a detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetailValue {
    /// A name or id.
    Text(String),
    /// A number.
    Number(u64),
    /// Yes or no.
    Truth(bool),
    /// Names or ids; a long list becomes a count and a SHA-256.
    List(Vec<String>),
}

/// Details of an event: names and ids, never a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail(Vec<(DetailKey, DetailValue)>);

impl Detail {
    /// Nothing else.
    pub const NONE: Self = Self(Vec::new());

    /// Adds a name or id.
    #[must_use]
    pub fn text(self, key: DetailKey, text: impl fmt::Display) -> Self {
        self.with(key, DetailValue::Text(text.to_string()))
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, key: DetailKey, number: u64) -> Self {
        self.with(key, DetailValue::Number(number))
    }

    /// Adds a yes or no.
    #[must_use]
    pub fn truth(self, key: DetailKey, truth: bool) -> Self {
        self.with(key, DetailValue::Truth(truth))
    }

    /// Adds names or ids.
    #[must_use]
    pub fn list<T: fmt::Display>(self, key: DetailKey, items: &[T]) -> Self {
        self.with(key, DetailValue::List(items.iter().map(ToString::to_string).collect()))
    }

    /// Appends the entries of another detail.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The entries, in the order in which they were added.
    pub fn entries(&self) -> &[(DetailKey, DetailValue)] {
        &self.0
    }

    fn with(mut self, key: DetailKey, value: DetailValue) -> Self {
        self.0.push((key, value));
        self
    }
}

/// The origin of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An address.
    Ip(IpAddr),
    /// A unix socket.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.to_canonical().fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

impl FromStr for Peer {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        text.parse().map(Self::Ip).map_err(|_| Invalid::new("peer", "an IP address or unix"))
    }
}

/// An event before it has its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The time, as the clock read.
    pub time: Timestamp,
    /// The actor.
    pub actor: Actor,
    /// The action.
    pub action: Action,
    /// The outcome.
    pub outcome: Outcome,
    /// The integration, if any.
    pub integration: Option<IntegrationId>,
    /// Its revision.
    pub revision: Option<Revision>,
    /// Its provider.
    pub provider: Option<Provider>,
    /// The project asked for.
    pub project: Option<ProjectId>,
    /// By which request; none for what the host does.
    pub request: Option<RequestId>,
    /// From where.
    pub peer: Option<Peer>,
    /// Further details.
    pub detail: Detail,
}

impl Event {
    /// An allowed event with nothing but its actor and action.
    pub const fn new(time: Timestamp, actor: Actor, action: Action) -> Self {
        Self {
            time,
            actor,
            action,
            outcome: Outcome::Allowed,
            integration: None,
            revision: None,
            provider: None,
            project: None,
            request: None,
            peer: None,
            detail: Detail::NONE,
        }
    }
}
