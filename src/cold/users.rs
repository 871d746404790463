//! What the configuration says about access, compiled: rules, and whom they know. Files with users
//! and keys are read again when they change.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::time::sleep;

use crate::access::address::{AddressList, AddressRule};
use crate::access::cors::CorsRule;
use crate::access::credentials::{AuthFile, AuthSettings, Authenticator};
use crate::access::forward::ForwardRule;
use crate::access::gate::{GateSettings, SiteAccess};
use crate::access::limit::LimitRule;
use crate::access::limit_table::LimitTable;
use crate::access::permission::AccessRule;
use crate::access::policy::AccessRules;
use crate::access::spelling::Spellings;
use crate::base::limits::{CREDENTIALS_FILE_BYTES_MAX, USER_FIELD_DEFAULT, USERS_LOOK_PAUSE};
use crate::config::{AccessTexts, Config, CredentialTexts, StartError};
use crate::route::{Glob, SiteSettings};

/// The users of one site, and the files that they come from.
#[derive(Debug)]
struct Users {
    authenticator: Arc<ArcSwap<Authenticator>>,
    texts: CredentialTexts,
    stamps: Vec<Stamp>,
}

/// What a file was when it was read; another file, or another state of it, has another.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Keeps what is known of users up to date.
#[derive(Debug, Default)]
pub struct UsersKeeper(Vec<Users>);

/// Compiles all rules and reads all files.
pub(super) fn open(config: &Config) -> Result<(GateSettings, UsersKeeper), StartError> {
    let mut keeper = UsersKeeper::default();
    let sites = config.access.iter().zip(&config.sites);
    let sites = sites.map(|(texts, settings)| site(texts, settings, &mut keeper));
    let server = &config.server_access;
    let trusted = server.trusted_proxies.join(" ");
    let settings = GateSettings {
        sites: sites.collect::<Result<_, _>>()?,
        trusted: match trusted.is_empty() {
            true => AddressList::default(),
            false => AddressList::parse(&trusted)
                .map_err(|why| refuse("--trusted-proxies", &trusted, why))?,
        },
        forwarded_by: server.forwarded_by,
        limits: LimitTable::new(server.limit_bytes_max),
        guard: Default::default(),
    };
    Ok((settings, keeper))
}

fn site(
    texts: &AccessTexts,
    settings: &SiteSettings,
    keeper: &mut UsersKeeper,
) -> Result<SiteAccess, StartError> {
    let rules = AccessRules {
        cors: parse_all("--cors", &texts.cors, CorsRule::parse)?,
        access: parse_all("--access", &texts.access, AccessRule::parse)?,
        limits: parse_all("--limit", &texts.limits, LimitRule::parse)?,
        allow: parse_all("--allow", &texts.allow, AddressRule::parse)?,
        deny: parse_all("--deny", &texts.deny, AddressRule::parse)?,
        forward: parse_all("--forward-auth", &texts.forward_auth, ForwardRule::parse)?,
        writable: parse_all("--writable", &texts.writing.writable, Glob::parse)?,
        spellings: Spellings::of(&settings.finding),
    };
    let credentials = &texts.credentials;
    let authenticator = match credentials.is_empty() {
        true => None,
        false => Some(keeper.add(credentials)?),
    };
    let user_fields = match &texts.forward_auth_copy[..] {
        [] => vec![USER_FIELD_DEFAULT.to_owned()],
        names => names.to_vec(),
    };
    Ok(SiteAccess {
        rules: Arc::new(rules),
        authenticator,
        allows_anonymous_writes: texts.writing.allows_anonymous,
        knows_certificates: credentials.has_certificate_users,
        user_fields: user_fields.into(),
    })
}

fn parse_all<T>(
    flag: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, StartError> {
    let rule = |text: &String| parse(text).map_err(|why| refuse(flag, text, why));
    texts.iter().map(rule).collect()
}

fn refuse(flag: &str, text: &str, why: String) -> StartError {
    StartError::usage(format!("{flag} does not take {text:?}"), why)
}

impl UsersKeeper {
    fn add(&mut self, texts: &CredentialTexts) -> Result<Arc<ArcSwap<Authenticator>>, StartError> {
        let stamps = stamps(texts);
        let read = read(texts).map_err(|why| {
            StartError::usage(
                why,
                "users, tokens and keys are described in docs/authentication.md",
            )
        })?;
        let authenticator = Arc::new(ArcSwap::from_pointee(read));
        self.0.push(Users {
            authenticator: Arc::clone(&authenticator),
            texts: texts.clone(),
            stamps,
        });
        Ok(authenticator)
    }

    /// Reads again what has changed. What cannot be read does not take the place of what could.
    fn refresh(&mut self) {
        for users in &mut self.0 {
            let stamps = stamps(&users.texts);
            if stamps == users.stamps {
                continue;
            }
            users.stamps = stamps;
            match read(&users.texts) {
                Ok(read) => {
                    users.authenticator.store(Arc::new(read));
                    log::info!("users and keys were read again");
                }
                Err(why) => log::warn!("users and keys stay as they are: {why}"),
            }
        }
    }

    /// Looks for changes, for ever.
    pub(super) async fn keep(&mut self) -> Infallible {
        loop {
            if self.0.is_empty() {
                return pending().await;
            }
            sleep(USERS_LOOK_PAUSE).await;
            self.refresh();
        }
    }
}

fn files(texts: &CredentialTexts) -> impl Iterator<Item = &PathBuf> {
    let CredentialTexts {
        users,
        tokens,
        jwt_keys,
        jwt_secrets,
        ..
    } = texts;
    let files = users.iter().chain(tokens);
    files.chain(jwt_keys).chain(jwt_secrets)
}

fn stamps(texts: &CredentialTexts) -> Vec<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let stamp = |path: &PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.ino(), about.size(), about.ctime(), about.ctime_nsec()))
    };
    files(texts).map(stamp).collect()
}

fn read(texts: &CredentialTexts) -> Result<Authenticator, String> {
    let all = |paths: &mut dyn Iterator<Item = &PathBuf>| {
        let files = paths.map(|path| read_file(path));
        files.collect::<Result<Vec<AuthFile>, String>>()
    };
    Authenticator::new(&AuthSettings {
        realm: texts.realm.clone(),
        users: all(&mut texts.users.iter())?,
        tokens: all(&mut texts.tokens.iter())?,
        jwt_keys: all(&mut texts.jwt_keys.iter())?,
        jwt_secrets: all(&mut texts.jwt_secrets.iter())?,
        audiences: texts.jwt_audiences.clone(),
        issuers: texts.jwt_issuers.clone(),
        leeway: texts.jwt_leeway,
        name_claim: texts.jwt_user_claim.clone(),
        ..AuthSettings::default()
    })
}

fn read_file(path: &Path) -> Result<AuthFile, String> {
    use std::io::Read;
    let read = || -> io::Result<Vec<u8>> {
        let mut contents = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(CREDENTIALS_FILE_BYTES_MAX + 1)
            .read_to_end(&mut contents)?;
        Ok(contents)
    };
    let name = path.display().to_string();
    match read() {
        Ok(contents) if contents.len() as u64 > CREDENTIALS_FILE_BYTES_MAX => {
            Err(format!("{name} is too large"))
        }
        Ok(contents) => Ok(AuthFile::new(name, contents)),
        Err(error) => Err(format!("{name} cannot be read: {error}")),
    }
}
