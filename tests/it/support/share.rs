//! A network share that stops answering: a file system of the kernel (FUSE) whose server takes no more requests.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The requests that the share answers (`linux/fuse.h`).
const GETATTR: u32 = 3;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
/// The length of a request's header.
const HEADER: usize = 40;

/// A mounted share; dropping it takes it away, and each call that hangs fails.
pub struct Share {
    folder: PathBuf,
    is_over: Arc<AtomicBool>,
    is_hanging: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Share {
    /// Mounts a share on an empty folder: its root can be looked at and opened once, and then every call hangs. `None`,
    /// with one line, where this user may not mount.
    pub fn mount(folder: &Path) -> Option<Self> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").ok();
        let mounted = device.filter(|device| {
            let mut mount = Command::new("mount");
            mount.args(["-i", "-t", "fuse", "-o", "fd=0,rootmode=40000,user_id=0,group_id=0", "share"]);
            mount.arg(folder).stdin(Stdio::from(device.try_clone().unwrap()));
            mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        });
        let Some(device) = mounted else {
            eprintln!("skipped: this user cannot mount a FUSE share");
            return None;
        };
        let (is_over, is_hanging) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (over, held) = (Arc::clone(&is_over), Arc::clone(&is_hanging));
        let server = thread::spawn(move || serve(device, &over, &held));
        Some(Self { folder: folder.to_owned(), is_over, is_hanging, server: Some(server) })
    }

    /// Waits until a call hangs.
    pub fn hangs(&self) {
        while !self.is_hanging.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // With its device the connection ends.
        drop(self.server.take().map(JoinHandle::join));
        drop(Command::new("umount").args(["-i", "-l"]).arg(&self.folder).status());
    }
}

fn serve(mut device: File, is_over: &AtomicBool, is_hanging: &AtomicBool) {
    let mut request = vec![0; 1 << 18];
    let pause = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    let mut is_opened = false;
    while !is_over.load(Ordering::SeqCst) {
        let mut ready = [PollFd::new(&device, PollFlags::IN)];
        if poll(&mut ready, Some(&pause)).unwrap_or(0) == 0 {
            continue;
        }
        if is_opened {
            // It stays with the kernel, as with a server that is gone: the caller can be killed.
            is_hanging.store(true, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
            continue;
        }
        let Ok(length) = device.read(&mut request) else { continue };
        if length < HEADER {
            continue;
        }
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap());
        let unique: [u8; 8] = request[8..16].try_into().unwrap();
        let (error, body) = match word(4) {
            INIT => (0, [&[7, 31, 0, 0][..], &[0; 12]].concat()),
            GETATTR => (0, root()),
            OPENDIR => {
                is_opened = true;
                (0, vec![0; 4])
            }
            // "Not built": for access, the kernel takes it for allowed.
            _ => (-38, Vec::new()),
        };
        let body: Vec<u8> = body.into_iter().flat_map(u32::to_ne_bytes).collect();
        let length = u32::try_from(16 + body.len()).unwrap();
        let head = [&length.to_ne_bytes()[..], &i32::to_ne_bytes(error), &unique].concat();
        drop(device.write(&[head, body].concat()));
    }
}

/// Returns `fuse_attr_out` of a folder of root's: valid for no time, inode 1, mode 0700.
fn root() -> Vec<u32> {
    let mut words = vec![0; 26];
    words[4] = 1;
    // Behind six numbers of 64 bits and three of 32: mode and links.
    words[19] = 0o040_700;
    words[20] = 2;
    words
}
