//! argon2id, version 0x13 (RFC 9106): derives a master key from a passphrase, and hashes a password.

use argon2::{Algorithm, Argon2, Params, Version};

use super::areas::Areas;
use crate::domain::Secret;

/// The most memory that a file or row may demand, in KiB: 1 GiB.
const MEMORY_KIB_MAX: u32 = 1 << 20;
/// The most passes.
const PASSES_MAX: u32 = 16;
/// The most lanes.
const LANES_MAX: u32 = 16;

/// The areas for passwords, of the whole process.
static PASSWORD_AREAS: Areas = Areas::keeping(KdfParams::PASSWORD.memory_kib as usize);

/// The parameters are out of bounds, or there is no memory for them.
#[derive(Debug, thiserror::Error)]
#[error("the key derivation takes 8 KiB per lane to 1 GiB of memory, 1 to 16 passes and 1 to 16 lanes")]
pub struct KdfFailed;

/// The cost of a derivation, within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfParams {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KdfParams {
    /// For passphrases: 64 MiB, three passes, four lanes (RFC 9106 §4, second recommendation).
    pub const STANDARD: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// For passwords: 19 MiB, two passes, one lane.
    pub const PASSWORD: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };
    /// For throw-away vaults (`serve --dev`) and tests: no protection to speak of.
    pub const LIGHT: Self = Self { memory_kib: 64, passes: 1, lanes: 1 };

    /// Checks parameters from an untrusted source: a flag or the disk.
    ///
    /// # Errors
    /// A parameter is out of bounds.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, KdfFailed> {
        let memory = (8 * lanes.min(LANES_MAX)).max(8)..=MEMORY_KIB_MAX;
        let bounded = (1..=PASSES_MAX).contains(&passes) && (1..=LANES_MAX).contains(&lanes);
        if memory.contains(&memory_kib) && bounded {
            Ok(Self { memory_kib, passes, lanes })
        } else {
            Err(KdfFailed)
        }
    }

    /// Returns whether a derivation costs less than one of a password: that is the least for a secret that people choose.
    /// Less memory makes up for more passes down to 7 MiB (OWASP Password Storage Cheat Sheet).
    pub fn is_weak(self) -> bool {
        const MEMORY_KIB_MIN: u32 = 7 * 1024;
        let work = |params: Self| u64::from(params.memory_kib) * u64::from(params.passes);
        self.memory_kib < MEMORY_KIB_MIN || work(self) < work(Self::PASSWORD)
    }

    /// Returns the memory, in KiB.
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Returns the number of passes over it.
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Returns the number of lanes.
    pub const fn lanes(self) -> u32 {
        self.lanes
    }
}

/// Hashes a password.
pub fn password_hash(password: &Secret, salt: &[u8; 16], params: KdfParams) -> Result<[u8; 32], KdfFailed> {
    let mut hash = [0; 32];
    derive_in(&PASSWORD_AREAS, password, salt, params, &mut hash)?;
    Ok(hash)
}

/// Derives a key from a passphrase, in an area that is given back to the system.
pub(super) fn derive(
    secret: &Secret,
    salt: &[u8; 16],
    params: KdfParams,
    out: &mut [u8; 32],
) -> Result<(), KdfFailed> {
    derive_in(&Areas::keeping(0), secret, salt, params, out)
}

fn derive_in(
    areas: &Areas,
    secret: &Secret,
    salt: &[u8; 16],
    params: KdfParams,
    out: &mut [u8; 32],
) -> Result<(), KdfFailed> {
    let KdfParams { memory_kib, passes, lanes } = params;
    let params = Params::new(memory_kib, passes, lanes, Some(out.len())).map_err(|_| KdfFailed)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let derived = areas.with(argon2.params().block_count(), |area| {
        argon2.hash_password_into_with_memory(secret.expose(), salt, out, area)
    });
    derived.map_err(|_| KdfFailed)?.map_err(|_| KdfFailed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Generated with the reference implementation (phc-winner-argon2 20190702, through argon2-cffi 25.1), version
    /// 0x13.
    #[test]
    fn argon2id_known_answers() {
        let secret = Secret::from("password".to_owned());
        for (passes, lanes, expected) in [
            (2, 1, "cab746b4621993fdc91ec50787980b414a90a692f0bc68dfe19f9c25b3cba9ec"),
            (3, 4, "3ae75675fc1875866526c8f930cb40d6fe751ec0bea5ad3052bafca5369373b3"),
        ] {
            let params = KdfParams::new(256, passes, lanes).unwrap();
            let hash = password_hash(&secret, b"somesaltsomesalt", params).unwrap();
            assert_eq!(data_encoding::HEXLOWER.encode(&hash), expected);
        }
    }

    #[test]
    fn hostile_parameters_are_refused_before_any_work() {
        for (memory, passes, lanes) in [
            (u32::MAX, 1, 1),
            ((1 << 20) + 1, 1, 1),
            (64, 0, 1),
            (64, 17, 1),
            (64, 1, 0),
            (4096, 1, 17),
            (15, 1, 2),
        ] {
            assert!(KdfParams::new(memory, passes, lanes).is_err(), "{memory} {passes} {lanes}");
        }
        assert!(KdfParams::new(1 << 20, 16, 16).is_ok());
    }

    #[test]
    fn what_costs_less_than_a_password_is_weak_and_so_is_little_memory_with_many_passes() {
        for (memory, passes, is_weak) in [
            (19 * 1024, 2, false),
            (19 * 1024 - 1, 2, true),
            (19 * 1024, 1, true),
            (7 * 1024, 6, false),
            (7 * 1024 - 1, 16, true),
        ] {
            let params = KdfParams::new(memory, passes, 1).unwrap();
            assert_eq!(params.is_weak(), is_weak, "{memory} {passes}");
        }
    }
}
