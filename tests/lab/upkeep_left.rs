//! The remains of a kill in the middle of an operator's work: a vault that some secret of its operator opens, every record,
//! and no finished file that is not whole.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use super::{
    driver::Broken,
    kills::ran,
    upkeep_kills::{Interrupted, Work, stop},
};

impl Interrupted {
    /// Checks what the kill left; returns whether the work was done.
    pub(super) fn check(&mut self, work: Work) -> Result<bool, Broken> {
        let number = self.named;
        let opens = |this: &Self, with: &str| this.examined("v.redb", with).is_ok();
        match work {
            Work::Compact => {
                self.examined("v.redb", &self.pass)?;
                Ok(fs::metadata(self.folder.join("v.redb")).unwrap().ino() != self.inode)
            }
            Work::Rekey => {
                self.examined("v.redb", &self.pass)?;
                let paper = format!("paper{number}");
                let [old, new] = [self.paper.clone(), paper].map(|paper| (opens(self, &paper), paper));
                match (old.0, new.0) {
                    (true, false) => {
                        drop(fs::remove_file(self.folder.join(new.1)));
                        Ok(false)
                    }
                    (false, true) => {
                        self.paper = new.1;
                        Ok(true)
                    }
                    both => Err(format!("the old recovery key and the new one open it: {both:?}")),
                }
            }
            Work::SlotChange => {
                let next = format!("pass{number}");
                match (opens(self, &self.pass.clone()), opens(self, &next)) {
                    (true, false) => Ok(false),
                    (false, true) => {
                        self.pass = next;
                        Ok(true)
                    }
                    both => Err(format!("the old passphrase and the new one open it: {both:?}")),
                }
            }
            Work::Archive => self.check_archive(number),
            Work::ScheduledBackup => {
                self.examined("v.redb", &self.pass)?;
                let backups = self.backups();
                for name in &backups {
                    self.examined(name, &self.pass)?;
                }
                Ok(backups.len() > 1)
            }
            Work::Restore => self.check_restore(number),
        }
    }

    /// Examines a whole file as its operator does.
    fn examined(&self, name: &str, with: &str) -> Result<String, Broken> {
        ran(&mut self.command(&["doctor", name, "--passphrase-file", with]))
    }

    fn check_archive(&mut self, number: usize) -> Result<bool, Broken> {
        self.examined("v.redb", &self.pass)?;
        let (first, _) = self.sequences("v.redb")?;
        let archive = format!("a{number}.archive");
        if self.folder.join(&archive).exists() {
            let (from, to) = self.sequences(&archive)?;
            if first == to + 1 && from <= self.covered {
                self.covered = first;
                return Ok(true);
            }
            // Written, but its records are in the vault still: the next archive has them again.
            fs::remove_file(self.folder.join(&archive)).unwrap();
        }
        if first > self.covered {
            return Err(format!("records from {} to {first} are in no archive", self.covered));
        }
        Ok(false)
    }

    /// Verifies a file, and returns the first and the last record that it holds.
    pub(super) fn sequences(&self, name: &str) -> Result<(u64, u64), Broken> {
        let said = ran(&mut self.command(&["audit", "verify", name]))?;
        let found = said.split_once("sequences ").and_then(|(_, rest)| {
            let (first, rest) = rest.split_once(" to ")?;
            let last: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Some((first.parse().ok()?, last.parse().ok()?))
        });
        found.ok_or(format!("no sequences: {said}"))
    }

    fn check_restore(&mut self, number: usize) -> Result<bool, Broken> {
        self.examined("v.redb", &self.pass)?;
        let mut is_done = false;
        for name in self.names(&self.folder) {
            if name.starts_with("v.redb.replaced-") {
                self.examined(&name, &self.pass)?;
                is_done = true;
            } else if name == format!("n{number}.redb") {
                self.examined(&name, "pass")?;
                is_done = true;
            } else {
                continue;
            }
            fs::remove_file(self.folder.join(name)).unwrap();
        }
        Ok(is_done)
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    /// The finished backups, as an operator sees them.
    fn backups(&self) -> Vec<String> {
        let names = self.names(&self.folder.join("kept")).into_iter();
        names
            .filter(|name| !name.starts_with('.') && name.ends_with(".redb"))
            .map(|name| format!("kept/{name}"))
            .collect()
    }

    pub(super) fn wait_for_backup(&self) -> Result<(), Broken> {
        let log = self.folder.join("server.log");
        for _ in 0..2_000 {
            if fs::read_to_string(&log).unwrap().contains("backup written and verified") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!("no backup: {}", fs::read_to_string(&log).unwrap()))
    }

    /// Lets the work come to its end, and checks that nothing that a kill left is there any more.
    pub fn finish(&mut self, work: Work) -> Result<(), Broken> {
        // A restore goes to a new file and in place of the vault in turns.
        self.end(work)?;
        self.end(work)?;
        let mut names = self.names(&self.folder);
        names.extend(self.names(&self.folder.join("kept")));
        // A restore under a new name leaves what the next one under that name removes.
        let is_left = |name: &String| {
            !name.starts_with(".n")
                && !name.starts_with('n')
                && (name.contains("sealroom-new") || name.ends_with(".lock") || name.starts_with(".archive"))
        };
        let left: Vec<String> = names.into_iter().filter(is_left).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("left by a kill: {left:?}")) }
    }

    fn end(&mut self, work: Work) -> Result<(), Broken> {
        self.prepare(work)?;
        let mut whole = self.start(work);
        if work == Work::ScheduledBackup {
            let made = self.wait_for_backup();
            stop(&mut whole);
            made?;
        } else if !whole.wait().unwrap().success() {
            let log = fs::read_to_string(self.folder.join("work.log")).unwrap();
            return Err(format!("{work:?} fails after kills: {log}"));
        }
        self.check(work).map(drop)
    }
}
