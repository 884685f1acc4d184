//! Names of the copies of older formats, which lie beside a vault file.
//!
//! ```text
//! team.redb.format-1      the first copy that was kept of a file of format 1
//! team.redb.format-1-2    the second, after a way back and another migration
//! ```

use std::path::{Path, PathBuf};

use super::path::{beside, resolved};

/// The most copies of one format: a vault that went back and forth this often needs a look.
pub const COPIES_MAX: u8 = 9;

/// Returns the name of the copy with this number, which begins with 1.
pub fn kept_copy(data: &Path, format: u32, number: u8) -> PathBuf {
    let suffix = if number == 1 { String::new() } else { format!("-{number}") };
    beside(data, &format!(".format-{format}{suffix}"))
}

/// Returns the last copy that was kept of a format up to `newest`, the newest format first.
pub fn newest_kept_copy(data: &Path, newest: u32) -> Option<PathBuf> {
    let data = resolved(data);
    let copies =
        (1..=newest).rev().flat_map(|format| (1..=COPIES_MAX).rev().map(move |number| (format, number)));
    copies.map(|(format, number)| kept_copy(&data, format, number)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_to_go_back_to_is_the_last_that_this_program_opens() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("team.redb");
        std::fs::write(&data, "").unwrap();
        let real = resolved(&data);
        let newest =
            |format| newest_kept_copy(&data, format).map(|path| path.file_name().unwrap().to_owned());
        assert_eq!(newest(3), None);
        for (format, number, name) in
            [(1, 1, "team.redb.format-1"), (1, 2, "team.redb.format-1-2"), (2, 1, "team.redb.format-2")]
        {
            std::fs::write(kept_copy(&real, format, number), "").unwrap();
            assert_eq!(newest(3).unwrap(), name);
        }
        assert_eq!(newest(1).unwrap(), "team.redb.format-1-2", "a program of format 1 opens no format 2");
    }
}
