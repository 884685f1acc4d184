//! The keys of a vault file, made anew from its passphrase, and the search for them in a process's memory.

use std::{collections::BTreeSet, fs::File, io::Read, os::unix::fs::FileExt, path::Path};

use aho_corasick::AhoCorasick;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use hkdf::Hkdf;
use sealroom::{
    disk::unnamed,
    storage::{Engine, LogKeys, Slot, decode_slots},
};
use sha2::{Digest, Sha256, Sha512, block_api::compress256};

/// The initial state of SHA-256 (FIPS 180-4 §5.3.3).
const SHA256: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Bytes that must be in no memory, each with its name.
#[derive(Default)]
pub struct Hunted(Vec<(String, Vec<u8>)>);

impl Hunted {
    /// Adds a secret by its pieces of 16 bytes: a half that is left over is as good a find.
    pub fn add(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= 16, "{name} is too short to be told from chance");
        let pieces = secret.chunks_exact(16).enumerate();
        self.0.extend(pieces.map(|(at, piece)| (format!("{name}[{}..]", at * 16), piece.to_vec())));
    }

    /// Adds every key of a vault file whose first slot has this passphrase, and the states of HMAC that keys become.
    pub fn add_keys(&mut self, file: &Path, passphrase: &str) {
        let copy = tempfile::NamedTempFile::new().unwrap();
        std::fs::copy(file, copy.path()).unwrap();
        let copy = File::options().read(true).write(true).open(copy.path()).unwrap();
        let engine = Engine::open(unnamed(copy).unwrap(), 1 << 20).unwrap();
        let snapshot = engine.snapshot().unwrap();
        let meta = |name| snapshot.meta(name).unwrap().unwrap();
        let slot = &decode_slots(&meta("slots")).unwrap()[0];
        let master = master(slot, passphrase);
        let vault = opened(&master, &slot.wrapped.nonce, &slot_data(slot), &slot.wrapped.ciphertext);
        let root = Hkdf::<Sha256>::new(None, &vault);
        let derived = |label: &[u8]| {
            let mut key = [0; 32];
            root.expand(label, &mut key).unwrap();
            key
        };
        let row = derived(b"sealroom row root key 1");
        let state = derived(b"sealroom state key 1");
        let wrap = derived(b"sealroom log-key wrap key 1");
        let keys = LogKeys::from_bytes(&meta("log_keys")).unwrap();
        let data = [&b"sealroom log key 1"[..], &meta("file_id"), &keys.newest()].concat();
        let log = opened(&wrap, &keys.private[..24].try_into().unwrap(), &data, &keys.private[24..]);
        self.add("log signing key, expanded", &Sha512::digest(&log));
        for (name, key) in [("master key", &master[..]), ("vault key", &vault), ("row key", &row)] {
            self.add(name, key);
        }
        for (name, key) in [("state key", &state[..]), ("wrap key", &wrap), ("log signing key", &log)] {
            self.add(name, key);
        }
        for (name, key) in [("row key", row), ("state key", state)] {
            for (part, pad) in [("inner", 0x36), ("outer", 0x5c)] {
                self.add(&format!("{part} HMAC state of the {name}"), &hmac_state(&key, pad));
            }
        }
    }

    /// Returns the names of what a process has in memory that can be written.
    pub fn in_process(&self, pid: u32) -> BTreeSet<String> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
        let search = self.search();
        let mut found = BTreeSet::new();
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let (range, rights) = (words.next().unwrap(), words.next().unwrap());
            let (from, to) = range.split_once('-').unwrap();
            let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            if !rights.starts_with("rw") || line.ends_with("[vvar]") {
                continue;
            }
            let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
            // A region may be gone by now.
            if memory.read_exact_at(&mut bytes, from).is_ok() {
                self.note(&search, &bytes, &mut found);
            }
        }
        found
    }

    /// Returns the names of what a file has in it.
    pub fn in_file(&self, path: &Path) -> BTreeSet<String> {
        let (mut bytes, mut found) = (Vec::new(), BTreeSet::new());
        File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
        self.note(&self.search(), &bytes, &mut found);
        found
    }

    fn search(&self) -> AhoCorasick {
        AhoCorasick::new(self.0.iter().map(|(_, piece)| piece)).unwrap()
    }

    fn note(&self, search: &AhoCorasick, bytes: &[u8], found: &mut BTreeSet<String>) {
        found.extend(search.find_iter(bytes).map(|hit| self.0[hit.pattern().as_usize()].0.clone()));
    }
}

fn master(slot: &Slot, passphrase: &str) -> Vec<u8> {
    let params = slot.header.params;
    let params = Params::new(params.memory_kib(), params.passes(), params.lanes(), Some(32)).unwrap();
    let mut key = vec![0; 32];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(passphrase.as_bytes(), &slot.header.salt, &mut key).unwrap();
    key
}

/// The associated data of a slot, as `crypto/keys.rs` draws it.
fn slot_data(slot: &Slot) -> Vec<u8> {
    let header = &slot.header;
    let mut data = b"sealroom slot 1".to_vec();
    data.extend_from_slice(&header.id.to_le_bytes());
    data.extend_from_slice(&[header.kind.code(), header.kind.kdf_code()]);
    for number in [header.params.memory_kib(), header.params.passes(), header.params.lanes()] {
        data.extend_from_slice(&number.to_le_bytes());
    }
    data.extend_from_slice(&header.salt);
    data
}

fn opened(key: &[u8], nonce: &[u8; 24], data: &[u8], sealed: &[u8]) -> Vec<u8> {
    let key: [u8; 32] = key.try_into().unwrap();
    let (body, tag) = sealed.split_at(32);
    let (mut plain, tag): (_, [u8; 16]) = (body.to_vec(), tag.try_into().unwrap());
    XChaCha20Poly1305::new(&key.into())
        .decrypt_inout_detached(&(*nonce).into(), data, plain.as_mut_slice().into(), &tag.into())
        .expect("the passphrase opens the slot");
    plain
}

/// The state of SHA-256 after the padded key, as it lies in memory.
fn hmac_state(key: &[u8; 32], pad: u8) -> Vec<u8> {
    let mut block = [pad; 64];
    block.iter_mut().zip(key).for_each(|(byte, of_key)| *byte ^= of_key);
    let mut state = SHA256;
    compress256(&mut state, &[block]);
    state.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
