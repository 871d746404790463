//! Certificates, keys and authorities while the server runs: loaded at the start, looked at once a
//! second, loaded again when a file has changed or SIGHUP asks for it.
//!
//! A reload that fails changes nothing: the old ones stay, and the log says so once.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use super::listeners::{Bound, Place};
use crate::base::limits::CERTIFICATES_WATCH_PAUSE;
use crate::config::{Config, HttpsRedirect, StartError, TlsConfig};
use crate::conn::ListenerKind;
use crate::tls::{self, Credentials, SelfSigned, Sources, TlsError, TlsServer, TlsSettings};

impl From<TlsError> for StartError {
    fn from(TlsError { what, remedy }: TlsError) -> StartError {
        StartError::machine(what, remedy)
    }
}

/// Keeps what TLS is made from up to date.
#[derive(Debug)]
pub struct Keeper {
    /// What workers serve with.
    pub server: TlsServer,
    sources: Sources,
    /// The certificate that was made at the start.
    made: Option<SelfSigned>,
    loaded: Vec<Stamp>,
    /// As of the last look; a change is taken when it has held still between two.
    seen: Vec<Stamp>,
}

/// How a file is told from the one that stood there before; `None` where there is none.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// What there is to say once the log is there.
#[derive(Debug, Default)]
pub struct Notes {
    pub warnings: Vec<String>,
    pub lines: Vec<String>,
}

impl Keeper {
    /// Loads everything, or makes a certificate.
    pub fn start(config: &TlsConfig, http2: bool, notes: &mut Notes) -> Result<Keeper, StartError> {
        let now = unix_seconds();
        let seen = stamps(&config.sources);
        let made = match &config.self_signed {
            Some(names) => Some(make_certificate(names, now, notes)?),
            None => None,
        };
        let mut credentials = load(&config.sources, made.as_ref(), now)?;
        notes.warnings.append(&mut credentials.warnings);
        let key_log = config.key_log.as_deref().map(open_key_log).transpose()?;
        if let Some(path) = &config.key_log {
            notes.warnings.push(format!(
                "--tls-keylog: the secrets of ALL TLS connections are written to {}; whoever reads \
                 it can read them, and workers wait for it. Not for a server that others use",
                path.display()
            ));
        }
        let settings = TlsSettings {
            http2,
            least_version: config.least_version,
            client_auth: config.client_auth,
            unknown_name: config.unknown_name,
            key_log,
        };
        Ok(Keeper {
            server: TlsServer::new(settings, credentials, now)?,
            sources: config.sources.clone(),
            made,
            loaded: seen.clone(),
            seen,
        })
    }

    /// Looks at the files and turns ticket keys over, until it is dropped.
    pub async fn keep(&mut self, hangup: &Notify) -> Infallible {
        let mut watch = interval(CERTIFICATES_WATCH_PAUSE);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = watch.tick() => false,
                () = hangup.notified() => true,
            };
            if let Err(error) = self.server.rotate_tickets(unix_seconds()) {
                log::error!("session tickets keep their old key: {error}");
            }
            self.look(asked);
        }
    }

    /// Loads everything again when a file has changed and held still, or when `asked` to.
    fn look(&mut self, asked: bool) {
        let found = stamps(&self.sources);
        let held_still = found == self.seen;
        self.seen.clone_from(&found);
        if !asked && (!held_still || found == self.loaded) {
            return;
        }
        // What failed is not tried again, nor told again, before it changes.
        self.loaded = found;
        match self.reload() {
            Ok(summary) => log::info!("certificates loaded again: {summary}"),
            Err(error) => {
                log::warn!("certificates could not be loaded again, the old ones stay: {error}");
            }
        }
    }

    fn reload(&self) -> Result<String, TlsError> {
        let credentials = load(&self.sources, self.made.as_ref(), unix_seconds())?;
        let warnings = credentials.warnings.clone();
        let summary = credentials.summary();
        self.server.replace(credentials)?;
        warnings.iter().for_each(|warning| log::warn!("{warning}"));
        Ok(summary)
    }
}

/// The port that plain requests are sent on to, if they are.
pub fn https_port(config: &Config, bound: &[Bound]) -> Option<u16> {
    match config.https_redirect {
        HttpsRedirect::Off => None,
        HttpsRedirect::Port(port) => Some(port),
        HttpsRedirect::Listener => {
            let tls = bound.iter().find(|bound| bound.kind == ListenerKind::Tls);
            match tls?.place {
                Place::Tcp(address) => Some(address.port()),
                Place::Other(_) => Some(443),
            }
        }
    }
}

fn load(
    sources: &Sources,
    made: Option<&SelfSigned>,
    unix_seconds: u64,
) -> Result<Credentials, TlsError> {
    let mut credentials = tls::load(sources, unix_seconds)?;
    made.into_iter().for_each(|made| credentials.add(made));
    Ok(credentials)
}

/// A certificate for these names, or for those that this machine surely has.
fn make_certificate(
    names: &[String],
    unix_seconds: u64,
    notes: &mut Notes,
) -> Result<SelfSigned, TlsError> {
    let uname = rustix::system::uname();
    let mut wanted = names.to_vec();
    if names.is_empty() {
        wanted.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        // A name that no certificate can hold is left out.
        let host = uname.nodename().to_str().unwrap_or_default();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        if !host.is_empty() && host.bytes().all(is_name) && host != "localhost" {
            wanted.push(host.to_ascii_lowercase());
        }
    }
    let made = tls::self_signed(&wanted, unix_seconds)?;
    notes.lines.push(format!(
        "a self-signed certificate for {}, SHA-256 {}; clients do not trust it by themselves",
        wanted.join(", "),
        made.fingerprint
    ));
    Ok(made)
}

/// The file is made so that only its owner can read it.
fn open_key_log(path: &Path) -> Result<File, StartError> {
    let opened = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path);
    opened.map_err(|error| {
        StartError::machine(
            format!("the file {} cannot be written to: {error}", path.display()),
            "name another with --tls-keylog",
        )
    })
}

fn stamps(sources: &Sources) -> Vec<Stamp> {
    sources.paths().map(|path| stamp(path).ok()).collect()
}

/// Follows symbolic links: certificates are often changed by moving one.
fn stamp(path: &Path) -> io::Result<(u64, u64, u64, i64, i64)> {
    let found = std::fs::metadata(path)?;
    let (device, inode, size) = (found.dev(), found.ino(), found.len());
    Ok((device, inode, size, found.mtime(), found.mtime_nsec()))
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;
    use crate::config::args::{Command, read};
    use std::num::NonZeroUsize;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    fn config(words: &[&str]) -> Config {
        let machine = Machine {
            cpus: vec![0],
            cpus_paid: NonZeroUsize::MIN,
            descriptors_max: 1000,
            somaxconn: None,
        };
        let line = ["downpour", "serve"].iter().chain(words);
        match read(line.map(std::ffi::OsString::from)) {
            Ok(Command::Serve(args)) => Config::check(&args, &machine).unwrap().config,
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    fn keeper(words: &[&str]) -> (Keeper, Notes) {
        let words = [&["--tls-listen", "127.0.0.1:0"], words].concat();
        let mut notes = Notes::default();
        let tls = config(&words).tls.unwrap();
        (Keeper::start(&tls, true, &mut notes).unwrap(), notes)
    }

    fn ticket_file(scratch: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = scratch.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    #[test]
    fn a_certificate_is_made_for_names_or_for_this_machine() {
        let (_, notes) = keeper(&["--self-signed"]);
        let said = &notes.lines[0];
        assert!(said.contains("localhost, 127.0.0.1, ::1"), "{said}");
        assert!(said.contains("SHA-256 "), "{said}");
        let (_, notes) = keeper(&["--self-signed=a.example"]);
        assert!(notes.lines[0].contains("for a.example, SHA"), "{notes:?}");
        assert!(notes.warnings.is_empty());
    }

    #[test]
    fn a_file_of_secrets_is_made_for_its_owner_and_warned_of() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("keys.log");
        let (_, notes) = keeper(&["--self-signed", "--tls-keylog", path.to_str().unwrap()]);
        assert!(
            notes.warnings[0].contains("ALL TLS connections"),
            "{notes:?}"
        );
        let mode = std::fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_change_is_taken_once_it_has_held_still_and_a_fault_told_once() {
        let scratch = tempfile::tempdir().unwrap();
        let path = ticket_file(&scratch, "tickets", &[1; 80]);
        let words = ["--self-signed", "--tls-ticket-keys", path.to_str().unwrap()];
        let (mut keeper, _) = keeper(&words);
        let first = keeper.loaded.clone();
        keeper.look(false);
        assert_eq!(keeper.loaded, first, "nothing has changed");
        let other = ticket_file(&scratch, "other", &[2; 48]);
        std::fs::rename(other, &path).unwrap();
        keeper.look(false);
        assert_eq!(keeper.loaded, first, "it may still be changing");
        keeper.look(false);
        assert_ne!(keeper.loaded, first);
        let second = keeper.loaded.clone();
        std::fs::remove_file(&path).unwrap();
        keeper.look(false);
        keeper.look(false);
        assert_eq!(keeper.loaded, [None], "a fault is remembered as well");
        assert_ne!(keeper.loaded, second);
        assert!(keeper.reload().is_err());
        ticket_file(&scratch, "tickets", &[3; 48]);
        assert!(keeper.reload().unwrap().starts_with("localhost and"));
    }

    #[test]
    fn the_port_of_the_redirect_is_that_of_the_listener_or_as_said() {
        let bound = [
            Bound {
                kind: ListenerKind::Plain,
                place: Place::Tcp(([127, 0, 0, 1], 80).into()),
            },
            Bound {
                kind: ListenerKind::Tls,
                place: Place::Tcp(([127, 0, 0, 1], 8443).into()),
            },
        ];
        let port = |words: &[&str]| {
            let words = [&["-p80", "--tls-listen", ":1", "--self-signed"], words].concat();
            https_port(&config(&words), &bound)
        };
        assert_eq!(port(&[]), None);
        assert_eq!(port(&["--https-redirect"]), Some(8443));
        assert_eq!(port(&["--https-redirect=443"]), Some(443));
    }
}
