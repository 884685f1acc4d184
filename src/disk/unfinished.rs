//! Temporary files that are no data files: a lock claims one while its process lives, so that the next run knows what a
//! killed one left.

use std::{
    fs::{self, File},
    path::Path,
};

use super::path::leads_to;

/// Claims a temporary file for as long as it is open. A file system without locks has none that are swept.
pub fn claim(file: &File) {
    // Best effort: an unclaimed file is at the mercy of a sweep, which then makes its writer fail.
    drop(file.try_lock());
}

/// Removes the files of a folder whose names begin so and that no process has claimed.
pub fn sweep_unclaimed(folder: &Path, prefix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_one = entry.file_name().to_string_lossy().starts_with(prefix)
            && entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_one
            && let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
            && leads_to(&path, &file)
        {
            // Best effort: the next run tries again.
            drop(fs::remove_file(&path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_removes_what_nobody_has_claimed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in [".part-left", ".part-claimed", "part-other", ".other"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        fs::create_dir(folder.join(".part-folder")).unwrap();
        std::os::unix::fs::symlink(".other", folder.join(".part-link")).unwrap();
        let claimed = File::open(folder.join(".part-claimed")).unwrap();
        claim(&claimed);
        sweep_unclaimed(folder, ".part-");
        assert!(!folder.join(".part-left").exists());
        for name in [".part-claimed", "part-other", ".other", ".part-folder", ".part-link"] {
            assert!(folder.join(name).exists(), "{name}");
        }
        drop(claimed);
        sweep_unclaimed(folder, ".part-");
        assert!(!folder.join(".part-claimed").exists());
    }
}
