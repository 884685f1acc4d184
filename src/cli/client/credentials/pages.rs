//! A read, page by page. The receipt of each page and the expiry warnings of its credentials are printed as the page
//! arrives, so that a later failure cannot hide a disclosure.

use std::{
    collections::HashSet,
    io::{self, IsTerminal},
};

use super::fields::described;
use crate::{
    cli::{
        client::{expiry, remote::Remote},
        error::CliError,
    },
    client::{Credential, CredentialFilter, Credentials, Error},
    clock::Clock,
};

/// Page size when the matches exceed one answer: the server's maximum.
const PAGE: usize = 1_000;

pub(in crate::cli::client) struct Pages<'a> {
    remote: &'a Remote,
    filter: &'a CredentialFilter,
    next: Next,
    /// The cursors so far.
    seen: HashSet<String>,
}

enum Next {
    First,
    At(String),
    End,
}

impl<'a> Pages<'a> {
    pub(in crate::cli::client) fn new(remote: &'a Remote, filter: &'a CredentialFilter) -> Self {
        Self { remote, filter, next: Next::First, seen: HashSet::new() }
    }

    /// Returns the name that every credential of this read has.
    pub(in crate::cli::client) fn asked_name(&self) -> Option<&'a str> {
        self.filter.name.as_deref()
    }

    /// Fetches the next page.
    pub(in crate::cli::client) async fn next(&mut self) -> Result<Option<Credentials>, CliError> {
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
        report(&page, self.remote);
        self.next = match page.next.take() {
            Some(cursor) if !self.seen.insert(cursor.clone()) => {
                return Err(CliError::failed(
                    "the server repeats its cursor, so that this read would never end",
                    "check that the URL is that of a sealroom server, and report this bug",
                ));
            }
            Some(cursor) => Next::At(cursor),
            None => Next::End,
        };
        Ok(Some(page))
    }

    /// Fetches all pages.
    pub(in crate::cli::client) async fn all(mut self) -> Result<Vec<Credential>, CliError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page.items()?);
        }
        Ok(all)
    }
}

/// Prints a receipt into a pipeline's log, as the line to check against the audit log.
pub(in crate::cli::client) fn report_receipt(receipt: Option<&str>, remote: &Remote) {
    if let Some(receipt) = receipt {
        remote.remember(receipt);
    }
    if let Some(receipt) = receipt.filter(|_| !io::stderr().is_terminal()) {
        remote.output.note(&format!("audit-receipt: {receipt}"));
    }
}

/// Prints the receipt of the disclosure, and a warning for each credential that has expired or expires soon.
pub(in crate::cli::client) fn report(page: &Credentials, remote: &Remote) {
    report_receipt(page.receipt.as_deref(), remote);
    let now = Clock::system().now();
    // The code that prints a page reports one that does not parse.
    for one in page.items().unwrap_or_default() {
        if let Some(end) = expiry::warning(one.expires_at, now) {
            remote.output.warning(&format!("{} {end}", described(&one)));
        }
    }
}
