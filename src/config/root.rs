//! The directory to serve, looked at before the first request does.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::StartError;

/// The absolute path of a directory that this process may enter.
///
/// Symbolic links stay as they are, so that a link to the current release can be moved before a
/// restart; the directory is opened, and thereby pinned, by whoever serves it.
pub fn check(path: &Path) -> Result<PathBuf, StartError> {
    let shown = path.display();
    if path.as_os_str().is_empty() {
        return Err(StartError::usage(
            "the directory to serve is an empty name",
            "leave it out for the welcome page, or say . for the directory you are in",
        ));
    }
    let found = std::fs::metadata(path);
    match found.as_ref().map(std::fs::Metadata::is_dir) {
        Ok(true) => {}
        Ok(false) => {
            return Err(StartError::machine(
                format!("{shown} is not a directory"),
                format!(
                    "name the one that holds it: downpour serve {}",
                    parent(path)
                ),
            ));
        }
        Err(error) => return Err(not_found(path, error)),
    }
    // Looking up `.` in it needs the right to enter, which is all that serving known names takes.
    std::fs::metadata(path.join(".")).map_err(|error| not_found(path, error))?;
    std::path::absolute(path).map_err(|error| not_found(path, &error))
}

fn parent(path: &Path) -> String {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.display().to_string(),
        _ => ".".to_owned(),
    }
}

fn not_found(path: &Path, error: impl std::borrow::Borrow<std::io::Error>) -> StartError {
    let (shown, error) = (path.display(), error.borrow());
    match error.kind() {
        ErrorKind::NotFound => StartError::machine(
            format!("the directory {shown} does not exist"),
            "create it or name another: downpour serve DIR",
        ),
        ErrorKind::PermissionDenied => StartError::machine(
            format!(
                "the directory {shown} may not be entered by user {}",
                rustix::process::geteuid().as_raw()
            ),
            "allow it (chmod o+x on it and on every directory above) or run as its owner",
        ),
        ErrorKind::NotADirectory => StartError::machine(
            format!("a part of {shown} is a file where a directory is expected"),
            "name an existing directory: downpour serve DIR",
        ),
        _ => StartError::machine(
            format!("the directory {shown} cannot be opened: {error}"),
            "name another: downpour serve DIR",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_becomes_absolute() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(check(scratch.path()).unwrap(), scratch.path());
        assert!(check(Path::new(".")).unwrap().is_absolute());
    }

    #[test]
    fn what_is_no_directory_is_said_to_be_none() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("page.html");
        std::fs::write(&file, "x").unwrap();
        let of_file = check(&file).unwrap_err();
        assert!(of_file.what.ends_with("page.html is not a directory"));
        assert!(
            of_file
                .remedy
                .ends_with(&scratch.path().display().to_string())
        );
        let below_file = check(&file.join("deep")).unwrap_err();
        assert!(below_file.what.contains("a file where a directory"));
        let missing = check(&scratch.path().join("missing")).unwrap_err();
        assert!(missing.what.ends_with("missing does not exist"));
        assert_eq!(missing.exit_code, 1);
        assert_eq!(check(Path::new("")).unwrap_err().exit_code, 2);
    }
}
