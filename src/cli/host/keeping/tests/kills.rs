//! A migration killed by SIGKILL, at random moments and at each of its calls to the disk. No released program has a
//! migration yet, so the process that is killed is this test program, with the host's own way to keep the copy.

use std::{
    process::{Child, Command, Stdio},
    time::Instant,
};

use super::*;

/// The file that the child migrates.
const FILE: &str = "SEALROOM_MIGRATED_FILE";
/// The calls that change a disk.
const CALLS: &str = "pwrite64,write,ftruncate,fallocate,fdatasync,fsync,rename,renameat,renameat2,link,linkat,unlink,unlinkat";
/// Adds 100 to each user's version: a migration that ran twice would show.
const ADDS: Migrations = Migrations(&[|file| {
    file.rewrite(Table::Users, |_, row| {
        let mut row = row.to_vec();
        // The version is the last field, and small: one byte.
        *row.last_mut().unwrap() += 100;
        Ok(Some(row))
    })
}]);

/// Runs as the child process of the other tests; does nothing on its own.
#[test]
fn a_child_that_migrates() {
    let Some(path) = std::env::var_os(FILE) else { return };
    migrate(Path::new(&path), ADDS).unwrap();
}

/// The file of format 1, and what became of it.
struct Killed {
    folder: tempfile::TempDir,
    path: PathBuf,
    before: Vec<u8>,
    /// The member's version in it.
    version: u64,
    /// The kills, and those of them after which the file was migrated.
    kills: usize,
    done: usize,
    /// The kills after which a whole copy was kept.
    kept: usize,
}

impl Killed {
    fn new() -> Self {
        let (folder, path) = folder();
        let before = fs::read(&path).unwrap();
        let (version, _) = migrate(&path, Migrations::RELEASED).unwrap();
        Self { folder, path, before, version, kills: 0, done: 0, kept: 0 }
    }

    /// Puts the older file in place, with nothing beside it.
    fn reset(&self) {
        names(&self.folder).iter().for_each(|name| fs::remove_file(self.folder.path().join(name)).unwrap());
        fs::write(&self.path, &self.before).unwrap();
    }

    fn child(&self, mut command: Command) -> Child {
        let (_, module) = module_path!().split_once("::").unwrap();
        command.args([&format!("{module}::a_child_that_migrates"), "--exact", "--test-threads=1"]);
        command.env(FILE, &self.path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Checks what a kill left, lets the next start end the work, and checks that it was done once.
    fn check(&mut self, what: &str) {
        let copy = self.path.with_extension("redb.format-1");
        let is_migrated = format(&self.path) == 2;
        let is_kept = copy.exists();
        if is_kept {
            assert!(fs::read(&copy).unwrap() == self.before, "{what}: a copy is whole, or has no name");
        }
        assert!(is_kept || !is_migrated, "{what}: no byte changes before the copy is kept");
        self.kills += 1;
        self.done += usize::from(is_migrated);
        self.kept += usize::from(is_kept);
        let (version, records) = migrate(&self.path, ADDS).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((version, records), (self.version + 100, 1), "{what}: it is done once");
        assert_eq!(names(&self.folder), ["v.redb", "v.redb.format-1"], "{what}");
        assert!(fs::read(&copy).unwrap() == self.before, "{what}: the way back");
    }
}

#[test]
fn a_migration_killed_at_a_random_moment_is_done_once_by_the_next_start() {
    let kills = std::env::var("SEALROOM_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(10);
    let mut killed = Killed::new();
    let this = std::env::current_exe().unwrap();
    killed.reset();
    let start = Instant::now();
    assert!(killed.child(Command::new(&this)).wait().unwrap().success());
    let span = start.elapsed();
    for number in 0..kills {
        killed.reset();
        let mut child = killed.child(Command::new(&this));
        // Spread over the whole of its run, and a little beyond.
        std::thread::sleep(span.mul_f64(f64::from((number * 7_919) % 1_000) / 900.0));
        drop(child.kill());
        drop(child.wait());
        killed.check(&format!("kill {number}"));
    }
    eprintln!("{} kills: {} left a whole copy, {} the migrated file", killed.kills, killed.kept, killed.done);
}

#[test]
fn a_migration_killed_at_any_call_to_the_disk_is_done_once_by_the_next_start() {
    if Command::new("strace").arg("-V").output().is_err() {
        return eprintln!("no strace: a kill at each call is not tried");
    }
    let mut killed = Killed::new();
    // Of each file apart: strace counts the calls of each thread.
    for file in ["v.redb", "v.redb.format-1", "."] {
        for call in 1.. {
            killed.reset();
            let mut command = Command::new("strace");
            let inject = format!("inject={CALLS}:signal=KILL:when={call}");
            command.args([
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                "signal=none",
                "-e",
                &format!("trace={CALLS}"),
            ]);
            command.args(["-e", &inject]);
            if file != "." {
                command.arg("-P").arg(killed.folder.path().join(file));
            }
            command.arg(std::env::current_exe().unwrap());
            let is_over = killed.child(command).wait().unwrap().success();
            killed.check(&format!("{file}, call {call}"));
            if is_over {
                break;
            }
        }
    }
    let Killed { kills, kept, done, .. } = killed;
    eprintln!("{kills} kills: {kept} left a whole copy, {done} the migrated file");
    assert!(done > 3 && kept > done + 3 && kills > kept + 3, "each part of the work was hit");
}
