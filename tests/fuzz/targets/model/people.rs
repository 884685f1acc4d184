//! The steps about members, reads, and the end: what was disclosed against what was recorded.

use super::*;

impl World {
    pub(super) async fn create_member(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let email = choices.below(EMAILS.len());
        let projects = (!choices.byte().is_multiple_of(2)).then(|| some_projects(choices));
        let body = json!({
            "email": EMAILS[email], "password": PASSWORD, "projects": projects.as_ref().map(texts),
        });
        let done = self.vault.create_user(&self.context(), &admitted, parsed(body)).await;
        let model = &self.model;
        let free = if model.member(email).is_some() { Err(No::Exists) } else { Ok(()) };
        let expected = model.owner(caller).and(free);
        let expected =
            expected.and_then(|()| projects.as_ref().map_or(Ok(()), |held| model.check_registered(held)));
        if agreed("create member", done, expected).is_some() {
            let (_, text) =
                vaults::login(&self.vault, EMAILS[email], self.now).await.expect("a new member logs in");
            self.members.push(text);
            let projects = projects.map(|held| self.instances(held));
            let (is_disabled, is_deleted, is_logged_out) = Default::default();
            self.model.members.push(Member { email, projects, is_disabled, is_deleted, is_logged_out });
        }
    }

    fn instances(&self, projects: BTreeSet<usize>) -> BTreeSet<(usize, u32)> {
        projects.into_iter().map(|at| self.model.instance(at)).collect()
    }

    pub(super) async fn update_member(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let email = choices.below(EMAILS.len());
        let (disables, projects) = match choices.below(4) {
            0 => (Some(choices.byte().is_multiple_of(2)), None),
            1 => (None, Some(None)),
            _ => (None, Some(Some(some_projects(choices)))),
        };
        let mut body = json!({});
        if let Some(disables) = disables {
            body["disabled"] = json!(disables);
        }
        if let Some(projects) = &projects {
            body["projects"] = json!(projects.as_ref().map(texts));
        }
        let address = EMAILS[email].parse().unwrap();
        let done = self.vault.update_user(&self.context(), &admitted, address, parsed(body)).await;
        let model = &self.model;
        let expected = model.owner(caller).and_then(|()| model.member(email).map(drop).ok_or(No::NoUser));
        let named = projects.iter().flatten();
        // A list that is as it was needs no check: a project of it may be gone since.
        let mut changed =
            named.filter(|held| model.member(email).and_then(|at| model.held(at)).as_ref() != Some(*held));
        let expected = expected.and_then(|()| changed.try_for_each(|held| model.check_registered(held)));
        if agreed("update member", done, expected).is_some() {
            let at = self.model.member(email).expect("both agreed");
            let projects = projects.map(|held| held.map(|held| self.instances(held)));
            let member = &mut self.model.members[at];
            if let Some(disables) = disables {
                member.is_logged_out |= member.is_disabled != disables;
                member.is_disabled = disables;
            }
            if let Some(projects) = projects {
                member.projects = projects;
            }
        }
    }

    pub(super) async fn delete_member(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let email = choices.below(EMAILS.len());
        let done = self.vault.delete_user(&self.context(), &admitted, EMAILS[email].parse().unwrap()).await;
        let found = self.model.member(email);
        let expected = self.model.owner(caller).and(found.map(drop).ok_or(No::NoUser));
        if agreed("delete member", done, expected).is_some() {
            self.model.members[found.expect("both agreed")].is_deleted = true;
        }
    }

    pub(super) async fn reopen(&mut self) {
        let now = Timestamp::from_millis(self.now);
        self.vault.lock(Event::new(now, Actor::host("fuzz"), Action::VaultLock)).await.expect("it locks");
        let owner = token::parse_bearer(&self.owner).expect("a token reads");
        assert!(matches!(self.vault.authenticate(owner, &self.context()), Err(Error::Locked)));
        vaults::unlock(&self.vault, self.now).await.expect("it unlocks again");
    }

    pub(super) async fn read(&mut self, caller: Caller, choices: &mut Choices<'_>) {
        let Some(admitted) = self.admitted(caller).await else { return };
        let filter = Filter {
            provider: perhaps(choices, PROVIDERS.len()),
            project: perhaps(choices, PROJECTS.len()),
            name: perhaps(choices, 2 * NAMES.len()).filter(|at| *at < NAMES.len()),
        };
        let query = CredentialQuery {
            provider: filter.provider.map(|at| PROVIDERS[at].parse().unwrap()),
            project: filter.project.map(|at| PROJECTS[at].parse().unwrap()),
            name: filter.name.map(|at| NAMES[at].parse().unwrap()),
            ..CredentialQuery::default()
        };
        let done = self.vault.read_credentials(&self.context(), &admitted, query).await;
        let expected = self.model.read(caller, filter);
        let what = format!("{caller:?} reads {filter:?}");
        let Some(read) = agreed(&what, done, expected.clone().map(drop)) else { return };
        let expected = expected.expect("both agreed");
        let mut found = BTreeSet::new();
        for (integration, secret) in &read.items {
            let at = self.items.iter().position(|id| *id == integration.id).expect("an item of the model");
            let values = &self.model.items[at].values;
            assert_eq!(integration.revision().number() as usize, values.len(), "{what}");
            let stored = json!({"token": values.last()}).to_string();
            assert_eq!(secret.expose(), stored.as_bytes(), "{what}: another value");
            self.disclosed.push((integration.id, values.len() as u64, admitted.caller().actor()));
            assert!(found.insert(at), "{what}: one credential twice");
        }
        assert_eq!(found, expected, "{what}");
        assert_eq!(read.receipts.len(), read.items.len(), "a receipt for each");
    }

    /// Each disclosure is one record, in its order.
    pub(super) fn finish(&self) {
        let (mut recorded, mut next) = (Vec::new(), 0);
        loop {
            let records = self.vault.records(next).expect("the log is read");
            if records.is_empty() {
                break;
            }
            next += records.len() as u64;
            for (_, bytes) in records {
                let record = record::decode(&bytes).expect("the log holds records");
                if record.action == Action::CredentialsRead && record.outcome == Outcome::Allowed {
                    let (id, revision) = (record.integration.unwrap(), record.revision.unwrap());
                    recorded.push((id, revision.number(), record.actor));
                }
            }
        }
        assert_eq!(recorded, self.disclosed, "the log and the answers differ");
    }
}
