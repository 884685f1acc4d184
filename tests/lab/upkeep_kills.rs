//! The real binary at the work of an operator, killed at random moments: the vault is the one before or the one after,
//! some secret that its operator has opens it, and no record and no finished file is lost.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    driver::Broken,
    kills::{ran, request},
    rng::Rng,
};

const PASSWORD: &str = "password-of-the-owner";
/// More than a block of the archive.
const EVENTS: usize = 270;
/// The most records in the file before a kill of the archive.
const EVENTS_MAX: u64 = 800;
/// The calls that change a disk.
const CALLS: &str = "pwrite64,write,ftruncate,fallocate,fdatasync,fsync,rename,renameat,renameat2,link,linkat,unlink,unlinkat";
const LIGHT: [&str; 5] = ["--weak-kdf", "--kdf-memory", "64", "--kdf-passes", "1"];

/// The work that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Compact,
    Rekey,
    SlotChange,
    Archive,
    ScheduledBackup,
    Restore,
}

impl Work {
    pub const ALL: [Self; 6] =
        [Self::Compact, Self::Rekey, Self::SlotChange, Self::Archive, Self::ScheduledBackup, Self::Restore];
}

/// The counts of a run.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub kills: u64,
    /// Kills after which the work was done.
    pub done: u64,
    /// Kills that came after the process had ended.
    pub late: u64,
}

/// A vault whose operator is interrupted.
pub struct Interrupted {
    pub(super) binary: PathBuf,
    pub(super) folder: PathBuf,
    /// The records before this one are in archives.
    pub(super) covered: u64,
    pub(super) named: usize,
    /// The files of the passphrase and of the recovery key.
    pub(super) pass: String,
    pub(super) paper: String,
    /// The time that the work takes if nobody interrupts it.
    span: Duration,
    /// The file that the work begins with.
    pub(super) inode: u64,
    /// The call to the disk at which strace kills the work, and the file whose calls alone it counts.
    at_call: Option<usize>,
    at_file: Option<&'static str>,
    pub tally: Tally,
}

impl Interrupted {
    /// Makes a vault in a folder of its own, with some content and a backup.
    pub fn new(binary: &Path, folder: &Path) -> Result<Self, Broken> {
        let this = Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            covered: 0,
            named: 0,
            pass: "pass".to_owned(),
            paper: "paper".to_owned(),
            span: Duration::ZERO,
            inode: 0,
            at_call: None,
            at_file: None,
            tally: Tally::default(),
        };
        this.secret("pass", "a passphrase of the laboratory\n");
        this.secret("owner", PASSWORD);
        let init = ["init", "--json", "--data", "v.redb", "--owner-email", "owner@example.com"];
        let files =
            ["--owner-password-file", "owner", "--passphrase-file", "pass", "--recovery-key-file", "paper"];
        ran(&mut this.command(&[&init[..], &files, &LIGHT].concat()))?;
        let (mut server, address) = this.serve(&[])?;
        let owner = login(&address)?;
        for n in 0..20 {
            let value = "x".repeat(2_000);
            let body = format!(
                r#"{{"provider":"custom","authType":"api_key","name":"key-{n}","isGlobal":true,"credentials":{{"value":"{value}"}}}}"#
            );
            let made = request(&address, "POST", "/sfp/api/integrations", &owner, &body);
            made.filter(|(status, ..)| *status == 201).ok_or("no integration")?;
        }
        this.secret("token", &owner);
        let url = format!("http://{address}");
        ran(&mut this.command(&["backup", "kept.redb", "--server", &url, "--token-file", "token"]))?;
        stop(&mut server);
        fs::create_dir(this.folder.join("kept")).unwrap();
        Ok(this)
    }

    fn secret(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.folder).args(args).env_clear().env("USER", "lab").env("HOME", &self.folder);
        command
    }

    /// A command that is killed at a call to the disk, if one is chosen.
    fn traced(&self, args: &[&str]) -> Command {
        let own = self.command(args);
        let Some(call) = self.at_call else { return own };
        let mut command = Command::new("strace");
        let inject = format!("inject={CALLS}:signal=KILL:when={call}");
        command.current_dir(&self.folder).args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none"]);
        command.args(["-e", &format!("trace={CALLS}"), "-e", &inject]);
        if let Some(file) = self.at_file {
            command.arg("-P").arg(self.folder.join(file));
        }
        command.arg(own.get_program()).args(own.get_args());
        command.env_clear().env("USER", "lab").env("HOME", &self.folder);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    fn serving(&self, more: &[&str]) -> Command {
        let args = [
            "serve",
            "--json",
            "--data",
            "v.redb",
            "--passphrase-file",
            &self.pass,
            "--listen",
            "127.0.0.1:0",
        ];
        let mut command = self.command(&[&args[..], more].concat());
        let log = fs::File::create(self.folder.join("server.log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command
    }

    fn serve(&self, more: &[&str]) -> Result<(Child, String), Broken> {
        let mut child = self.serving(more).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = serde_json::from_str::<Value>(&line)
            .ok()
            .and_then(|json| json["url"].as_str().map(str::to_owned));
        match url {
            Some(url) => Ok((child, url.trim_start_matches("http://").to_owned())),
            None => {
                drop(child.wait());
                Err(format!("no start: {}", fs::read_to_string(self.folder.join("server.log")).unwrap()))
            }
        }
    }

    /// Interrupts the work once, and checks what is left.
    pub fn cycle(&mut self, work: Work, rng: &mut Rng) -> Result<(), Broken> {
        if self.tally.kills == 0 {
            self.prepare(work)?;
            let start = Instant::now();
            let mut whole = self.start(work);
            if work == Work::ScheduledBackup {
                let made = self.wait_for_backup();
                stop(&mut whole);
                made?;
            } else {
                let ended = whole.wait().unwrap();
                let log = fs::read_to_string(self.folder.join("work.log")).unwrap();
                ended.success().then_some(()).ok_or(format!("{work:?} fails: {log}"))?;
            }
            self.span = start.elapsed();
            self.check(work)?;
        }
        self.prepare(work)?;
        let mut child = self.start(work);
        std::thread::sleep(self.span.mul_f64(rng.below(10_000) as f64 / 9_000.0));
        self.tally.late += u64::from(child.try_wait().unwrap().is_some());
        drop(child.kill());
        drop(child.wait());
        self.tally.kills += 1;
        self.tally.done += u64::from(self.check(work)?);
        Ok(())
    }

    /// Kills the work at that call to the disk, or to one file, of one of its threads, counted from 1, and checks what is
    /// left. Returns false once the work makes fewer calls. strace counts the calls of each thread: the one that commits
    /// makes few beside the one that writes an archive, and is met by its file.
    ///
    /// # Errors
    /// A broken vault; or there is no strace, which kills at a call.
    pub fn cycle_at(&mut self, work: Work, file: Option<&'static str>, call: usize) -> Result<bool, Broken> {
        self.prepare(work)?;
        (self.at_call, self.at_file) = (Some(call), file);
        let ended = self.start(work).wait().unwrap();
        self.at_call = None;
        self.tally.kills += u64::from(!ended.success());
        self.tally.done += u64::from(self.check(work)?);
        Ok(!ended.success())
    }

    pub(super) fn prepare(&mut self, work: Work) -> Result<(), Broken> {
        self.named += 1;
        self.inode = fs::metadata(self.folder.join("v.redb")).unwrap().ino();
        if work != Work::Archive {
            return Ok(());
        }
        // Kills that come too early let the log grow, and the work with it: then they would always come too early.
        let (first, last) = self.sequences("v.redb")?;
        if last - first > EVENTS_MAX {
            let ended = self.start(work).wait().unwrap();
            if !ended.success() || !self.check(work)? {
                return Err("an archive that nobody killed is not done".to_owned());
            }
            self.named += 1;
        }
        let (mut server, address) = self.serve(&[])?;
        let owner = login(&address)?;
        for _ in 0..EVENTS {
            let read = request(&address, "GET", "/sfp/api/audit?limit=1", &owner, "");
            read.filter(|(status, ..)| *status == 200).ok_or("no answer to a read")?;
        }
        stop(&mut server);
        Ok(())
    }

    pub(super) fn start(&mut self, work: Work) -> Child {
        let number = self.named;
        let (data, pass) = (["--data", "v.redb"], ["--passphrase-file", &self.pass]);
        let mut command = match work {
            Work::Compact => self.traced(&[&["compact"][..], &data, &pass].concat()),
            Work::Rekey => {
                let paper = format!("paper{number}");
                let own = ["rekey", "--yes", "--recovery-key-file", &paper];
                self.traced(&[&own[..], &data, &pass].concat())
            }
            Work::SlotChange => {
                let next = format!("pass{number}");
                self.secret(&next, &format!("passphrase {number} of the laboratory\n"));
                let own = ["slot", "change", "--new-passphrase-file", &next];
                self.traced(&[&own[..], &LIGHT, &data, &pass].concat())
            }
            Work::Archive => {
                let to = format!("a{number}.archive");
                let own = ["audit", "archive", "--before", "2100-01-01", "--to", &to];
                self.traced(&[&own[..], &data, &pass].concat())
            }
            Work::ScheduledBackup => {
                let schedule = ["--backup-folder", "kept", "--backup-every-secs", "1", "--backup-keep", "2"];
                return self.serving(&schedule).spawn().unwrap();
            }
            Work::Restore if number.is_multiple_of(2) => {
                let to = format!("n{number}.redb");
                self.traced(&["restore", "kept.redb", "--data", &to, "--passphrase-file", "pass"])
            }
            Work::Restore => self.traced(&[&["restore", "kept.redb", "--force"][..], &data, &pass].concat()),
        };
        let log = fs::File::create(self.folder.join("work.log")).unwrap();
        // A new recovery key is shown to a reader, not to a null device.
        let shown = fs::File::create(self.folder.join("work.out")).unwrap();
        command.stdin(Stdio::null()).stdout(shown).stderr(log).spawn().unwrap()
    }
}

fn login(address: &str) -> Result<String, Broken> {
    let body = format!(r#"{{"email":"owner@example.com","password":"{PASSWORD}"}}"#);
    let (status, _, json) =
        request(address, "POST", "/sfp/api/auth/login", "", &body).ok_or("no answer to a login")?;
    json["access_token"].as_str().map(str::to_owned).ok_or(format!("a login: {status} {json}"))
}

pub(super) fn stop(server: &mut Child) {
    let _ = kill_process(Pid::from_child(server), Signal::TERM);
    drop(server.wait());
}
