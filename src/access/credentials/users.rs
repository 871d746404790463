//! The users file: names and the hashes of their passwords.
//!
//! ```text
//! # made by: downpour hash-password --user alice
//! alice:$argon2id$v=19$m=19456,t=2,p=1$…
//! bob:$2y$10$…
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHashString, PasswordVerifier};
use argon2::{ARGON2ID_IDENT, Argon2, Params};
use base64::Engine;
use foldhash::quality::RandomState;

use super::identity::{Identity, Source};
use super::settings::{AuthFile, check_user_name};
use crate::base::limits::{ARGON2_KIB_MAX, ARGON2_ROUNDS_MAX, BCRYPT_COST_MAX, CREDENTIALS_MAX};

const BCRYPT_COST_MIN: u32 = 4;
const ARGON2_LANES_MAX: u32 = 16;

/// The users of all files.
pub(super) struct Users {
    list: Vec<User>,
    by_name: HashMap<Arc<str>, usize, RandomState>,
}

struct User {
    identity: Arc<Identity>,
    hash: Hash,
}

/// A hash that was found to be sound, so that nothing goes wrong but the password.
enum Hash {
    Bcrypt(Box<str>),
    Argon2id(PasswordHashString),
}

impl Users {
    pub(super) fn parse(files: &[AuthFile]) -> Result<Users, String> {
        let mut users = Users {
            list: Vec::new(),
            by_name: HashMap::default(),
        };
        for file in files {
            for (number, line) in file.lines()? {
                users.add(line).map_err(|why| file.fault(number, why))?;
            }
        }
        match files.first() {
            Some(file) if users.list.is_empty() => Err(format!(
                "{} names no user; make a line for one: downpour hash-password --user NAME",
                file.name
            )),
            _ => Ok(users),
        }
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let (name, hash) = line
            .split_once(':')
            .ok_or("a user is a line NAME:HASH, as downpour hash-password makes it")?;
        check_user_name(name)?;
        let hash = Hash::parse(hash)?;
        if self.list.len() == CREDENTIALS_MAX {
            return Err(format!("there are more than {CREDENTIALS_MAX} users"));
        }
        let identity = Arc::new(Identity::new(name, Source::Password));
        match self.by_name.entry(Arc::clone(&identity.name)) {
            Entry::Occupied(_) => return Err(format!("there is a user {name:?} already")),
            Entry::Vacant(place) => place.insert(self.list.len()),
        };
        self.list.push(User { identity, hash });
        Ok(())
    }

    /// True when there is anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Who has this name and password. Takes its time, and as much of it for a name that nobody
    /// has: it is then compared with the hash of somebody, always the same one for one name.
    pub(super) fn find(&self, name: &str, password: &[u8]) -> Option<Arc<Identity>> {
        let known = self.by_name.get(name).copied();
        let stand_in = || self.by_name.hasher().hash_one(name) as usize % self.list.len();
        let user = &self.list[known.unwrap_or_else(stand_in)];
        let fits = user.hash.fits(password);
        (fits && known.is_some()).then(|| Arc::clone(&user.identity))
    }
}

impl Hash {
    fn parse(text: &str) -> Result<Hash, String> {
        let is_bcrypt = ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|kind| text.starts_with(kind));
        if is_bcrypt {
            check_bcrypt(text)?;
            Ok(Hash::Bcrypt(text.into()))
        } else if text.starts_with("$argon2id$") {
            check_argon2(text).map(Hash::Argon2id)
        } else {
            Err(
                "the hash is neither of argon2id ($argon2id$…) nor of bcrypt ($2y$…); make one \
                 with downpour hash-password, or htpasswd -B"
                    .to_owned(),
            )
        }
    }

    /// Both compare in constant time.
    fn fits(&self, password: &[u8]) -> bool {
        match self {
            // As everywhere, only the first 72 bytes count.
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Hash::Argon2id(hash) => {
                let hash = hash.password_hash();
                Argon2::default().verify_password(password, &hash).is_ok()
            }
        }
    }
}

fn check_bcrypt(text: &str) -> Result<(), String> {
    let broken = || "the hash of bcrypt is not whole: it has 60 characters".to_owned();
    if text.len() != 60 || !text.is_ascii() {
        return Err(broken());
    }
    let parts: bcrypt::HashParts = text.parse().map_err(|_| broken())?;
    let decode = |part: &str| bcrypt::BASE_64.decode(part).map_err(|_| broken());
    let (salt, hash) = (decode(&text[7..29])?, decode(&text[29..])?);
    if (salt.len(), hash.len()) != (16, 23) {
        return Err(broken());
    }
    match parts.get_cost() {
        BCRYPT_COST_MIN..=BCRYPT_COST_MAX => Ok(()),
        cost => Err(format!(
            "a cost of {cost} is not taken: of bcrypt it is between {BCRYPT_COST_MIN} and \
             {BCRYPT_COST_MAX}"
        )),
    }
}

fn check_argon2(text: &str) -> Result<PasswordHashString, String> {
    let broken = |why: &dyn std::fmt::Display| format!("the hash of argon2id is not whole: {why}");
    let hash = PasswordHash::new(text).map_err(|error| broken(&error))?;
    if hash.algorithm != ARGON2ID_IDENT || hash.hash.is_none() || hash.salt.is_none() {
        return Err(broken(&"it lacks its salt or its end"));
    }
    if hash.version.is_some_and(|version| version != 0x13) {
        return Err(broken(&"its version is not 19"));
    }
    let params = Params::try_from(&hash).map_err(|error| broken(&error))?;
    let fits = params.m_cost() <= ARGON2_KIB_MAX
        && params.t_cost() <= ARGON2_ROUNDS_MAX
        && params.p_cost() <= ARGON2_LANES_MAX;
    match fits {
        true => Ok(hash.serialize()),
        false => Err(format!(
            "the hash of argon2id takes too much: m is at most {ARGON2_KIB_MAX}, t at most \
             {ARGON2_ROUNDS_MAX}, p at most {ARGON2_LANES_MAX}"
        )),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Made by `htpasswd -nbBC 5 alice secret`; `-C 4 bob` with "Grüße"; carol's is
    /// a vector of the reference implementation of argon2, of "password" and "somesalt".
    pub(crate) const LINES: &str = "\
alice:$2y$05$SeMRb3NW9UOzFzZPcQC/N.35.vu7F0GGY6sY8uVMl3RxuB3JqPoj2\n\
bob:$2y$04$V1qXTjd7VLn0AIm3YEQAYOvA5vNZm8gXCRYwPQF1o05NnFA0HFrX2\n\
carol:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\n";

    fn users(text: &str) -> Result<Users, String> {
        Users::parse(&[AuthFile::new("users", text)])
    }

    fn fault(text: &str) -> String {
        users(text).err().unwrap_or_default()
    }

    #[test]
    fn each_user_has_their_own_password() {
        let users = users(LINES).unwrap();
        let name = |name, password: &str| {
            let found = users.find(name, password.as_bytes());
            found.map(|identity| identity.name().to_owned())
        };
        assert_eq!(name("alice", "secret").as_deref(), Some("alice"));
        assert_eq!(name("bob", "Grüße").as_deref(), Some("bob"));
        assert_eq!(name("carol", "password").as_deref(), Some("carol"));
        for (user, password) in [
            ("alice", "Secret"),
            ("alice", ""),
            ("bob", "secret"),
            ("Alice", "secret"),
            ("dave", "secret"),
            ("", "secret"),
        ] {
            assert_eq!(name(user, password), None, "{user}:{password}");
        }
    }

    #[test]
    fn a_name_that_nobody_has_is_never_let_in_by_the_one_who_stands_in() {
        let users = users("alice:$2y$04$V1qXTjd7VLn0AIm3YEQAYOvA5vNZm8gXCRYwPQF1o05NnFA0HFrX2");
        let users = users.unwrap();
        assert!(users.find("alice", "Grüße".as_bytes()).is_some());
        for other in ["bob", "", "alic", "root"] {
            assert!(users.find(other, "Grüße".as_bytes()).is_none());
        }
    }

    #[test]
    fn faults_name_file_and_line_and_the_way_out() {
        let hash = "$2y$04$V1qXTjd7VLn0AIm3YEQAYOvA5vNZm8gXCRYwPQF1o05NnFA0HFrX2";
        for (text, parts) in [
            (String::new(), ["users names no user", "hash-password"]),
            ("#\nalice".to_owned(), ["users, line 2: ", "NAME:HASH"]),
            ("alice:secret".to_owned(), ["line 1", "hash-password"]),
            ("alice:$apr1$x$y".to_owned(), ["line 1", "neither"]),
            ("alice:{SHA}x".to_owned(), ["line 1", "neither"]),
            (
                format!("a:{}", hash.replace("2y", "2x")),
                ["line 1", "neither"],
            ),
            (format!("a:{hash}\na:{hash}"), ["line 2", "already"]),
            (format!(":{hash}"), ["line 1", "has a name"]),
            (format!("a:{}", &hash[..59]), ["line 1", "60 characters"]),
            (format!("a:{hash}:x"), ["line 1", "60 characters"]),
            (format!("a:{}", hash.replace("V1", "!1")), ["line 1", "60"]),
            (
                format!("a:{}", hash.replace("$04", "$31")),
                ["a cost of 31", "16"],
            ),
            (
                format!("a:{}", hash.replace("$04", "$03")),
                ["a cost of 3", "4"],
            ),
            (
                "a:$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g".to_owned(),
                ["", "neither"],
            ),
            (
                "a:$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ".to_owned(),
                ["line 1", "not whole"],
            ),
            ("a:$argon2id$v=19$m=8".to_owned(), ["line 1", "not whole"]),
            (
                "a:$argon2id$v=19$m=4000000,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo".to_owned(),
                ["line 1", "too much"],
            ),
            (
                "a:$argon2id$v=16$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo".to_owned(),
                ["line 1", "version"],
            ),
        ] {
            let fault = fault(&text);
            for part in parts {
                assert!(fault.contains(part), "{text:?} gave {fault:?}");
            }
        }
    }
}
