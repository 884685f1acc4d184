//! Paths as people write them: unexpanded shell syntax, and missing folders.

use std::path::{Component, Path};

use super::{error::CliError, source::Source};

/// Refuses a path that a shell was meant to expand. A file that really has such a name is reached by `./~`.
///
/// # Errors
/// It begins with `~` or `$NAME`, and no file has that name.
pub(super) fn check(path: &Path, source: &Source) -> Result<(), CliError> {
    let Some(what) = unexpanded(path) else { return Ok(()) };
    Err(source.refuse(
        format!("{} begins with `{what}`, which is not expanded here", path.display()),
        "write the whole path; only a shell expands it, where it stands outside of quotes",
    ))
}

/// Refuses a file whose folder does not exist, by the given name.
///
/// # Errors
/// There is no such folder.
pub(super) fn check_folder(path: &Path, source: &Source) -> Result<(), CliError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    let refused = |what: &str| {
        CliError::failed(
            format!("{source}: {}: {} {what}", path.display(), folder.display()),
            format!("mount its volume, create that folder, or pass another file with {source}"),
        )
    };
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(refused("is not a folder")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(refused("does not exist")),
        // Opening the file shows whether access is allowed.
        Err(_) => Ok(()),
    }
}

/// Returns the part of a path that a shell would have expanded.
fn unexpanded(path: &Path) -> Option<&str> {
    let mut components = path.components();
    let Some(Component::Normal(first)) = components.next() else { return None };
    let text = first.to_str()?;
    let is_alone = components.next().is_none();
    let is_meant = match text.strip_prefix('~') {
        // A file called `~notes` may be intended.
        Some(user) => user.is_empty() || !is_alone,
        None => text.strip_prefix('$').is_some_and(|name| {
            let name = name.trim_start_matches('{').trim_end_matches('}');
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        }),
    };
    (is_meant && std::fs::symlink_metadata(first).is_err()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_expands_is_told_from_what_is_a_name() {
        for text in ["~", "~/v.redb", "~ada/v.redb", "$HOME/v.redb", "${HOME}/v.redb", "$DATA"] {
            assert!(unexpanded(Path::new(text)).is_some(), "{text}");
        }
        for text in
            ["", "v.redb", "/~/v.redb", "./~/v.redb", "~notes", "a/~/b", "$", "$a.b", "a$HOME", "C:\\~"]
        {
            assert_eq!(unexpanded(Path::new(text)), None, "{text}");
        }
    }
}
