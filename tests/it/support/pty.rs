//! A real pseudo-terminal, and somebody who types at it.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use crate::support::binary::command;

/// The time limit for a word to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command at a terminal of its own; what it prints on stdout goes to a file.
pub struct Typing {
    pub child: Child,
    pub master: File,
    pub slave: OwnedFd,
    pub screen: String,
    pub out: std::path::PathBuf,
}

impl Typing {
    /// With stdout in a file, so that what is asked and what is printed are told apart.
    pub fn start(folder: &Path, url: &str, args: &[&str]) -> Self {
        Self::open(folder, url, args, None, &[])
    }

    /// With all three streams at a terminal of that width.
    pub fn wide(folder: &Path, url: &str, args: &[&str], width: u16, set: &[(&str, &str)]) -> String {
        let mut typing = Self::open(folder, url, args, Some(width), set);
        assert_eq!(typing.end(), 0, "{}", typing.screen);
        typing.screen.replace('\r', "")
    }

    pub fn open(folder: &Path, url: &str, args: &[&str], width: Option<u16>, set: &[(&str, &str)]) -> Self {
        let (master, slave) = terminal();
        let out = folder.join("stdout");
        let mut command = command(folder, args);
        command.env("SFP_SERVER_URL", url).env("SFP_SERVER_TOKEN_FILE", "owner.token");
        command.env("HOME", folder).env("TERM", "xterm");
        command.stdin(slave.try_clone().unwrap()).stderr(slave.try_clone().unwrap());
        command.env("TZ", "UTC").envs(set.iter().copied()).stdout(Stdio::from(File::create(&out).unwrap()));
        if let Some(width) = width {
            let size = Winsize { ws_row: 40, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&slave, size).unwrap();
            command.stdout(slave.try_clone().unwrap());
        }
        let child = command.spawn().unwrap();
        Self { child, master, slave: slave.into(), screen: String::new(), out }
    }

    /// Reads the screen until this text is on it.
    pub fn wait_for(&mut self, text: &str) {
        let began = std::time::Instant::now();
        while !self.screen.contains(text) {
            assert!(began.elapsed() < PATIENCE, "{text} is not on the screen: {:?}", self.screen);
            self.read(100);
        }
    }

    /// Takes what is on its way; whether there was anything.
    pub fn read(&mut self, millis: i64) -> bool {
        let mut waiting = [PollFd::new(&self.master, PollFlags::IN)];
        let time = Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
        if poll(&mut waiting, Some(&time)).unwrap() > 0 {
            let mut bytes = [0; 4096];
            let length = self.master.read(&mut bytes).unwrap_or(0);
            self.screen.push_str(&String::from_utf8_lossy(&bytes[..length]));
            return true;
        }
        false
    }

    /// Waits for a prompt and until the keys are its own: what is typed before that, the terminal itself shows.
    pub fn prompted(&mut self, text: &str) {
        self.wait_for(text);
        let began = std::time::Instant::now();
        while self.echoes() {
            assert!(began.elapsed() < PATIENCE, "the echo stays on at {text}");
            std::thread::yield_now();
        }
    }

    pub fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the command has read all that was typed.
    pub fn taken(&mut self) {
        let began = std::time::Instant::now();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        while poll(&mut [PollFd::new(&self.slave, PollFlags::IN)], Some(&now)).unwrap() > 0 {
            assert!(began.elapsed() < PATIENCE, "keys are left: {:?}", self.screen);
            std::thread::yield_now();
        }
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.slave)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// The exit code, once it has ended; the terminal must be as it was, and nothing left in it for a shell to read.
    pub fn end(&mut self) -> i32 {
        let began = std::time::Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < PATIENCE, "it does not end: {:?}", self.screen);
            self.read(10);
        };
        while self.read(50) {}
        assert!(self.echoes(), "the terminal is as it was");
        let mut waiting = [PollFd::new(&self.slave, PollFlags::IN)];
        let left = poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
        assert_eq!(left, 0, "nothing is left for the shell");
        code
    }

    pub fn printed(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }
}

impl Drop for Typing {
    /// A test that failed leaves no command waiting for keys.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Both ends of a new pseudo-terminal.
pub fn terminal() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    // Without NOCTTY a test's own process would take the terminal over, where it has none.
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let slave = rustix::fs::open(&*name, flags, rustix::fs::Mode::empty()).unwrap();
    (master.into(), slave.into())
}
