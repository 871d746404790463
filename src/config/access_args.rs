//! The flags about who may do what, and how often: those of a site, and those of the server.

#![allow(
    rustdoc::bare_urls,
    reason = "the help of a flag shows addresses as they are written"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use super::access_values::{
    claim_name, connections_per_address, forwarded_by, in_flight, leeway, limit_memory, realm,
    send_rate,
};
use super::quantity::OrOff;
use super::values::{boolean, timeout};
use crate::access::address::ForwardedBy;

/// The flags of a site, which stand in [`AccessTexts`](super::AccessTexts) as texts.
#[derive(Debug, Args)]
pub struct AccessArgs {
    /// Let pages of other origins read answers, as in '/api/** https://app.example
    /// https://*.b.example; credentials'. Besides credentials: methods=GET,PUT, headers=NAME,…
    /// (those of requests), expose=NAME,… (those of answers), max-age=10m, private-network;
    /// repeatable, the last that is for a path counts
    #[arg(long, value_name = "[GLOB ]ORIGIN…[; PART…]", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_CORS", hide_env = true)]
    pub cors: Vec<String>,

    /// Who may read and who may write, as in '/notes/** read=anyone write=users': anyone, users,
    /// nobody, user:NAME, claim:NAME=VALUE, cert:NAME, or several with commas; repeatable, the last
    /// that is for a path counts
    #[arg(
        long,
        value_name = "[GLOB ]read=WHO write=WHO",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_ACCESS", hide_env = true)]
    pub access: Vec<String>,

    /// Users and their passwords, which come by Basic: lines of NAME:HASH, as
    /// `downpour hash-password` makes them
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_USERS", hide_env = true)]
    pub users: Option<PathBuf>,

    /// Tokens that stand for users, which come by Bearer: a file that holds their hashes
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_TOKENS", hide_env = true)]
    pub tokens: Option<PathBuf>,

    /// Key that JSON web tokens are signed with: a public key in PEM, or a set of keys (JWKS);
    /// repeatable
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_JWT_KEY", hide_env = true)]
    pub jwt_key: Vec<PathBuf>,

    /// Secret that JSON web tokens are signed with (HS256 and its kind); repeatable
    #[arg(long, value_name = "FILE", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_JWT_SECRET", hide_env = true)]
    pub jwt_secret: Vec<PathBuf>,

    /// For whom a JSON web token must be made (aud); repeatable, one of them is enough
    /// [default: not looked at]
    #[arg(long, value_name = "TEXT", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_JWT_AUDIENCE", hide_env = true)]
    pub jwt_audience: Vec<String>,

    /// Who must have made a JSON web token (iss); repeatable, one of them is enough
    /// [default: not looked at]
    #[arg(long, value_name = "TEXT", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_JWT_ISSUER", hide_env = true)]
    pub jwt_issuer: Vec<String>,

    /// How far the clock of who makes JSON web tokens may be from ours, at most 1h
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_JWT_LEEWAY", hide_env = true, value_parser = leeway)]
    pub jwt_leeway: Duration,

    /// Claim of a JSON web token that names the user
    #[arg(
        long,
        value_name = "NAME",
        default_value = "sub",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_JWT_USER_CLAIM", hide_env = true, value_parser = claim_name)]
    pub jwt_user_claim: String,

    /// What a browser shows when it asks for a password
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "downpour",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_REALM", hide_env = true, value_parser = realm)]
    pub realm: String,

    /// Ask another server whether a request may go on, as in
    /// '/app/** http://127.0.0.1:9000/verify': an answer of 2xx lets it, any other is passed on;
    /// repeatable, the last that is for a path counts
    #[arg(long, value_name = "[GLOB ]URL", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_FORWARD_AUTH", hide_env = true)]
    pub forward_auth: Vec<String>,

    /// Field of that server's answer that names the user, as in X-User; repeatable, the first that
    /// is there counts [default: Remote-User]
    #[arg(long, value_name = "NAME", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_FORWARD_AUTH_COPY", hide_env = true)]
    pub forward_auth_copy: Vec<String>,

    /// A client certificate names its user
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "false",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_CLIENT_CERT_USERS", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub client_cert_users: bool,

    /// How many requests are answered, as in '/api/** 10/s burst=20 by=user': by address (which is
    /// what is meant without by=), user, path or header:NAME, or several, as in address+path; 429
    /// beyond; repeatable, all that are for a path count
    #[arg(
        long,
        value_name = "[GLOB ]RATE[ burst=COUNT][ by=KEY]",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_LIMIT", hide_env = true)]
    pub limit: Vec<String>,

    /// Answer requests from these networks only, as in '/admin/** 10.0.0.0/8 ::1'; 403 for others;
    /// repeatable
    #[arg(long, value_name = "[GLOB ]NETWORK…", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_ALLOW", hide_env = true)]
    pub allow: Vec<String>,

    /// Answer requests from these networks with 403; repeatable
    #[arg(long, value_name = "[GLOB ]NETWORK…", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_DENY", hide_env = true)]
    pub deny: Vec<String>,
}

/// The flags of the server.
#[derive(Debug, Args)]
pub struct ServerAccessArgs {
    /// Network whose Forwarded, X-Forwarded-For and X-Request-Id are believed, as in 10.0.0.0/8;
    /// repeatable
    #[arg(long, value_name = "NETWORK", help_heading = "Access")]
    #[arg(env = "DOWNPOUR_TRUSTED_PROXIES", hide_env = true)]
    pub trusted_proxies: Vec<String>,

    /// The field in which trusted proxies name the client; the other one is not looked at, since a
    /// client may have written it
    #[arg(
        long,
        value_name = "x-forwarded-for|forwarded",
        default_value = "x-forwarded-for",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_FORWARDED_BY", hide_env = true, value_parser = forwarded_by)]
    pub forwarded_by: ForwardedBy,

    /// Every connection begins with the header of the PROXY protocol, version 1 or 2, which says
    /// whose it is
    #[arg(
        long,
        value_name = "BOOL|on|off",
        default_value = "false",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_PROXY_PROTOCOL", hide_env = true, value_parser = boolean)]
    #[arg(action = ArgAction::Set, hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub proxy_protocol: bool,

    /// Requests that are being answered at a time; 503 beyond, with Retry-After
    #[arg(
        long,
        value_name = "COUNT|off",
        default_value = "off",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_MAX_IN_FLIGHT", hide_env = true, value_parser = in_flight)]
    pub max_in_flight: OrOff<usize>,

    /// Connections of one address (or network /64 of IPv6) at a time; further ones are closed
    #[arg(
        long,
        value_name = "COUNT|off",
        default_value = "off",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_MAX_CONNECTIONS_PER_ADDRESS", hide_env = true)]
    #[arg(value_parser = connections_per_address)]
    pub max_connections_per_address: OrOff<usize>,

    /// Bytes a second that one connection is sent, at least 1K
    #[arg(
        long,
        value_name = "SIZE|off",
        default_value = "off",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_SEND_RATE", hide_env = true, value_parser = send_rate)]
    pub send_rate: OrOff<u64>,

    /// Memory for what is counted of addresses and other keys, for all limits together; where it
    /// is full, who has not come for longest is forgotten
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64M",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_LIMIT_MEMORY", hide_env = true, value_parser = limit_memory)]
    pub limit_memory: u64,

    /// Time in which a peer sends nothing of its request's content, after which it gets 408
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30s",
        help_heading = "Access"
    )]
    #[arg(env = "DOWNPOUR_BODY_TIMEOUT", hide_env = true, value_parser = timeout)]
    pub body_timeout: Duration,
}
