//! A read, page by page. Each page's receipt and what its credentials' ends ask for are printed as the page arrives,
//! so that no failure after it keeps silent about what was disclosed.

use std::io::{self, IsTerminal};

use super::fields::described;
use crate::{
    cli::{
        client::{expiry, remote::Remote},
        error::CliError,
        terminal::output::Output,
    },
    client::{Credential, CredentialFilter, Credentials, Error},
    clock::Clock,
};

/// How many credentials one answer brings where they are too many for one: the server's most.
const PAGE: usize = 1_000;

pub(super) struct Pages<'a> {
    remote: &'a Remote,
    filter: &'a CredentialFilter,
    next: Next,
}

enum Next {
    First,
    At(String),
    End,
}

impl<'a> Pages<'a> {
    pub(super) const fn new(remote: &'a Remote, filter: &'a CredentialFilter) -> Self {
        Self { remote, filter, next: Next::First }
    }

    /// The name that every credential of this read has.
    pub(super) fn asked_name(&self) -> Option<&'a str> {
        self.filter.name.as_deref()
    }

    /// Fetches the next page.
    pub(super) async fn next(&mut self) -> Result<Option<Credentials>, CliError> {
        let (client, filter) = (&self.remote.client, self.filter);
        let mut page = match std::mem::replace(&mut self.next, Next::End) {
            Next::First => match client.credentials(filter).await {
                Err(Error::Refused(refusal)) if refusal.code == "too_many_matches" => {
                    client.credentials_page(filter, PAGE, None).await?
                }
                first => first?,
            },
            Next::At(cursor) => client.credentials_page(filter, PAGE, Some(&cursor)).await?,
            Next::End => return Ok(None),
        };
        report(&page, self.remote.output);
        self.next = page.next.take().map_or(Next::End, Next::At);
        Ok(Some(page))
    }

    /// Fetches all pages.
    pub(super) async fn all(mut self) -> Result<Vec<Credential>, CliError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page.items()?);
        }
        Ok(all)
    }
}

/// Prints the receipt of what was disclosed, and a warning for each credential that has ended or soon will.
pub(super) fn report(page: &Credentials, output: Output) {
    // In a pipeline's log, the line that the audit log can be held against.
    if let Some(receipt) = page.receipt.as_ref().filter(|_| !io::stderr().is_terminal()) {
        output.note(&format!("audit-receipt: {receipt}"));
    }
    let now = Clock::system().now();
    // A page that cannot be parsed is the concern of the code that prints it.
    for one in page.items().unwrap_or_default() {
        if let Some(end) = expiry::warning(one.expires_at, now) {
            output.warning(&format!("{} {end}", described(&one)));
        }
    }
}
