//! The flags of `downpour hash-password` and `downpour hash-token`, and what they print. They have
//! no environment variables: they are run by hand.

use clap::{ArgAction, Args};
use zeroize::Zeroizing;

use super::values::boolean;
use super::{StartError, prompt};
use crate::access::credentials::hash_password::{HashKind, new_token, token_line, user_line};
use crate::base::limits::{PASSWORD_BYTES_MAX, TOKEN_BYTES_MAX};

/// What `downpour hash-password` is asked to do.
#[derive(Clone, Debug, Args)]
pub struct HashPasswordArgs {
    /// The name of the user; without it, the hash alone is printed
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Hash with bcrypt, for other servers, instead of argon2id
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = boolean)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_default_value = true)]
    pub bcrypt: bool,
}

/// What `downpour hash-token` is asked to do.
#[derive(Clone, Debug, Args)]
pub struct HashTokenArgs {
    /// Whose token it is
    #[arg(long, value_name = "NAME")]
    pub user: String,

    /// What it is for, in words with blanks between: rules ask for claim:scope=WORD
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        hide_default_value = true
    )]
    pub scope: String,

    /// Take the first line of the input as the token, instead of a new one
    #[arg(long, value_name = "BOOL", default_value = "false", value_parser = boolean)]
    #[arg(action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_default_value = true)]
    pub stdin: bool,
}

impl HashPasswordArgs {
    /// Asks for the password, and hashes it.
    pub fn line(&self) -> Result<String, StartError> {
        let password = prompt::new_secret("Password", PASSWORD_BYTES_MAX)?;
        let kind = match self.bcrypt {
            true => HashKind::Bcrypt,
            false => HashKind::Argon2id,
        };
        let line = user_line(self.user.as_deref(), &password, kind).map_err(refuse)?;
        Ok(format!("{line}\n"))
    }
}

impl HashTokenArgs {
    /// Makes or takes the token. A new one is told apart from the line, so that the line can go
    /// into a file.
    pub fn line(&self) -> Result<String, StartError> {
        let token = match self.stdin {
            true => prompt::secret("Token", TOKEN_BYTES_MAX)?,
            false => Zeroizing::new(new_token().map_err(refuse)?.as_bytes().to_vec()),
        };
        let line = token_line(&self.user, &token, &self.scope).map_err(refuse)?;
        if !self.stdin {
            prompt::show("The token, which is not kept", &token)?;
        }
        Ok(format!("{line}\n"))
    }
}

fn refuse(why: String) -> StartError {
    StartError::usage(why, "")
}

#[cfg(test)]
mod tests {
    use super::super::args::{Command, read};
    use super::super::usage::Refusal;
    use std::ffi::OsString;

    fn parse(words: &str) -> Result<Command, String> {
        let words = ["downpour"].into_iter().chain(words.split_whitespace());
        match read(words.map(OsString::from)) {
            Err(Refusal::Wrong(error)) => Err(error.to_string()),
            Err(Refusal::Answer(answer)) => panic!("{answer}"),
            Ok(command) => Ok(command),
        }
    }

    #[test]
    fn every_flag_is_heard() {
        let Ok(Command::HashPassword(args)) = parse("hash-password --user alice --bcrypt") else {
            panic!("it is this command")
        };
        assert_eq!((args.user.as_deref(), args.bcrypt), (Some("alice"), true));
        let Ok(Command::HashPassword(args)) = parse("hash-password --bcrypt false") else {
            panic!("it is this command")
        };
        assert_eq!((args.user, args.bcrypt), (None, false));
        let words = "hash-token --user robot --scope read --stdin";
        let Ok(Command::HashToken(args)) = parse(words) else {
            panic!("it is this command")
        };
        assert_eq!(
            (&*args.user, &*args.scope, args.stdin),
            ("robot", "read", true)
        );
    }

    #[test]
    fn a_password_is_no_flag() {
        assert!(parse("hash-password --user alice secret").is_err());
        assert!(parse("hash-token").unwrap_err().contains("--user"));
    }
}
