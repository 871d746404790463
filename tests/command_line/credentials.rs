//! `downpour hash-password` and `downpour hash-token`, with input from a pipe and from a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::sync::Arc;

use downpour::access::credentials::{AuthFile, AuthSettings, Authenticator, Credential};
use downpour::base::Now;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::tcgetattr;

use super::process::*;

/// What comes of a command whose input is this.
fn piped(words: &[&str], input: &str) -> (i32, String, String) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(input.as_bytes()).unwrap();
    drop(writer);
    outcome(downpour().args(words).stdin(reader))
}

fn who(settings: &AuthSettings, field: &str) -> Option<String> {
    let authenticator = Arc::new(Authenticator::new(settings).unwrap());
    let credential = authenticator.check(Some(field.as_bytes()), None, Now::default());
    let credential = match credential {
        Credential::Costly(costly) => costly.run(),
        credential => credential,
    };
    match credential {
        Credential::Known(identity) => Some(identity.name().to_owned()),
        _ => None,
    }
}

fn of_users(line: &str) -> AuthSettings {
    AuthSettings {
        users: vec![AuthFile::new("users", line)],
        ..AuthSettings::default()
    }
}

#[test]
fn a_piped_password_becomes_a_line() {
    for words in [
        &["hash-password", "--user", "alice"][..],
        &["hash-password", "--user", "alice", "--bcrypt"],
    ] {
        let (code, line, complaint) = piped(words, "secret\r\nrest\n");
        assert_eq!((code, complaint.as_str()), (0, ""));
        let settings = of_users(&line);
        let name = who(&settings, "Basic YWxpY2U6c2VjcmV0");
        assert_eq!(name.as_deref(), Some("alice"), "{line}");
    }
    let (_, hash, _) = piped(&["hash-password"], "secret");
    assert!(
        hash.starts_with("$argon2id$") && hash.ends_with('\n'),
        "{hash}"
    );
}

#[test]
fn what_cannot_be_a_password_is_told() {
    let user = ["hash-password", "--user", "alice"];
    for (words, input, part) in [
        (&user[..], "", "is not empty"),
        (&user, "\n", "is not empty"),
        (&user, "a\tb\n", "control characters"),
        (&user, &"a".repeat(5000), "at most 1024 bytes"),
        (&["hash-password", "--user", "a:b"], "secret", "no colon"),
        (&["hash-password", "--bcrypt"], &"a".repeat(80), "71 bytes"),
        (
            &["hash-token", "--user", "a", "--stdin"],
            "short",
            "16 letters",
        ),
    ] {
        let (code, line, complaint) = piped(words, input);
        assert_eq!((code, line.as_str()), (2, ""), "{complaint}");
        assert!(complaint.contains(part), "{complaint}");
    }
}

#[test]
fn a_token_is_shown_beside_its_line() {
    let words = ["hash-token", "--user", "robot", "--scope", "read write"];
    let (code, line, shown) = outcome(downpour().args(words).stdin(Stdio::null()));
    assert_eq!(code, 0, "{shown}");
    let token = shown.trim().rsplit(' ').next().unwrap();
    let settings = AuthSettings {
        tokens: vec![AuthFile::new("tokens", line.as_str())],
        ..AuthSettings::default()
    };
    assert_eq!(
        who(&settings, &format!("Bearer {token}")).as_deref(),
        Some("robot")
    );
    let words = [
        "hash-token",
        "--user",
        "robot",
        "--scope=read write",
        "--stdin",
    ];
    assert_eq!(
        piped(&words, &format!("{token}\n")),
        (0, line, String::new())
    );
}

/// Both ends of a terminal.
fn terminal() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let ours = openpt(flags).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NOCTTY);
    (ours.into(), options.open(name.to_str().unwrap()).unwrap())
}

/// Types each line when it is asked for. Exit status, output, and what the terminal showed.
fn typed(words: &[&str], lines: &[&str]) -> (i32, String, String) {
    let (mut ours, theirs) = terminal();
    let before = tcgetattr(&theirs).unwrap();
    let mut command = downpour();
    command.args(words).stdin(theirs.try_clone().unwrap());
    command
        .stderr(theirs.try_clone().unwrap())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut shown = String::new();
    for line in lines {
        let from = shown.len();
        while !shown[from..].contains(": ") {
            let mut bytes = [0; 256];
            let len = ours.read(&mut bytes).unwrap();
            shown.push_str(&String::from_utf8_lossy(&bytes[..len]));
        }
        ours.write_all(line.as_bytes()).unwrap();
    }
    let code = wait(&mut child).code().unwrap();
    let mut output = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut output)
        .unwrap();
    assert_eq!(tcgetattr(&theirs).unwrap().local_modes, before.local_modes);
    drop((command, theirs));
    let mut rest = Vec::new();
    let _ = ours.read_to_end(&mut rest); // Linux says EIO where the other end is closed.
    shown.push_str(&String::from_utf8_lossy(&rest));
    (code, output, shown)
}

#[test]
fn a_typed_password_is_not_shown_and_asked_for_twice() {
    let user = ["hash-password", "--user", "alice"];
    // Keys: a character too many and taken back; a line that is begun anew.
    let (code, line, shown) = typed(&user, &["secretä\x7f\n", "wrong\x15secret\r"]);
    assert_eq!(code, 0, "{shown}");
    let shown: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(shown.join(" "), "Password: The same again:");
    let name = who(&of_users(&line), "Basic YWxpY2U6c2VjcmV0");
    assert_eq!(name.as_deref(), Some("alice"));
    let (code, line, shown) = typed(&user, &["secret\n", "secreT\n"]);
    assert_eq!((code, line.as_str()), (2, ""));
    assert!(
        shown.contains("not the same") && !shown.contains("secre"),
        "{shown}"
    );
    for key in ["\x03", "\x04", "half\x03"] {
        let (code, line, shown) = typed(&user, &[key]);
        assert_eq!((code, line.as_str()), (1, ""), "{shown}");
        assert!(shown.contains("stopped"), "{shown}");
    }
}
