//! `downpour config --schema`: the JSON schema (draft 2020-12) of configuration files, from the
//! definition of the flags.

use std::fmt;

use clap::Arg;

use super::asked::{serve, site};
use super::keys::{self, Form};
use super::show::quoted;

const SIZE: &str = "[0-9]+([kKmMgG]([iI]?[bB])?|[bB])?";
const TIME: &str = "[0-9]+(us|ms|s|m|h)|0";

/// A value of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Boolean(bool),
    Number(i64),
    /// A number with a point, as it is written.
    Fraction(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The member of an object.
    pub fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            _ => None,
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_json(self, 0, out)
    }
}

fn write_json(json: &Json, depth: usize, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    match json {
        Json::Boolean(value) => write!(out, "{value}"),
        Json::Number(value) => write!(out, "{value}"),
        Json::Fraction(value) => out.write_str(value),
        // What TOML escapes is what JSON escapes, and in the same way.
        Json::String(text) => out.write_str(&quoted(text)),
        Json::Array(items) => {
            out.write_str("[")?;
            for (index, item) in items.iter().enumerate() {
                out.write_str(if index == 0 { "" } else { ", " })?;
                write_json(item, depth, out)?;
            }
            out.write_str("]")
        }
        Json::Object(members) => {
            let blank = "  ".repeat(depth + 1);
            for (index, (name, value)) in members.iter().enumerate() {
                let start = if index == 0 { "{" } else { "," };
                write!(out, "{start}\n{blank}{}: ", quoted(name))?;
                write_json(value, depth + 1, out)?;
            }
            match members.is_empty() {
                true => out.write_str("{}"),
                false => write!(out, "\n{}}}", "  ".repeat(depth)),
            }
        }
    }
}

/// The schema.
pub fn schema() -> Json {
    let mut top: Vec<(String, Json)> = flags(&serve());
    top.push(member("site", list_of(site_schema())));
    top.push(member("rule", list_of(rule_schema())));
    let mut members = vec![
        member(
            "$schema",
            text("https://json-schema.org/draft/2020-12/schema"),
        ),
        member("title", text("Configuration of downpour")),
    ];
    members.extend(object(top));
    Json::Object(members)
}

fn flags(definition: &clap::Command) -> Vec<(String, Json)> {
    let flags = keys::keys(definition);
    flags
        .map(|flag| member(keys::name(flag), flag_schema(flag)))
        .collect()
}

fn site_schema() -> Json {
    let mut site = flags(&site());
    let names = "Hosts that this site answers for, as in a.example or *.a.example; without names, \
                 all that no other site has";
    site.push(member("names", described(names, texts())));
    let default = "Answer for hosts that no site has, too";
    site.push(member("default", described(default, of_type("boolean"))));
    site.push(member("rule", list_of(rule_schema())));
    Json::Object(object(site))
}

fn rule_schema() -> Json {
    let text_type = || of_type("string");
    let fields = Json::Object(vec![
        member("type", text("object")),
        member(
            "additionalProperties",
            any_of(vec![
                texts(),
                Json::Object(vec![member("const", Json::Boolean(false))]),
            ]),
        ),
    ]);
    let pages = Json::Object(vec![
        member("type", text("object")),
        member("additionalProperties", text_type()),
    ]);
    let keys = [
        (
            "path",
            "Which paths: a glob, as in /assets/** or *.css",
            text_type(),
        ),
        (
            "headers",
            "Fields to set; a list sets several, false takes one away",
            fields,
        ),
        (
            "header",
            "Fields, as --header says them without a glob",
            texts(),
        ),
        ("cache-control", "off, auto, immutable or a value", texts()),
        (
            "redirect",
            "Where clients are sent, with or without a status",
            texts(),
        ),
        (
            "status",
            "The status of redirect or rewrite",
            of_type("integer"),
        ),
        ("rewrite", "What is served in its place", texts()),
        (
            "error-page",
            "STATUS=PAGE, or a table",
            any_of(vec![texts(), pages]),
        ),
        ("maintenance", "Answer 503", of_type("boolean")),
        ("cors", "Who may read answers, as --cors says it", texts()),
        ("access", "read=WHO, write=WHO or both", texts()),
        (
            "forward-auth",
            "The URL of the server that is asked",
            texts(),
        ),
        ("limit", "RATE, burst=COUNT, by=KEY", texts()),
        (
            "allow",
            "Networks that get an answer, and no others",
            texts(),
        ),
        ("deny", "Networks that get none", texts()),
        (
            "writable",
            "Let clients change the files",
            of_type("boolean"),
        ),
    ];
    let keys = keys.map(|(key, what, schema)| member(key, described(what, schema)));
    let mut rule = object(keys.into());
    rule.push(member("required", Json::Array(vec![text("path")])));
    Json::Object(rule)
}

/// Members of the schema of a table with these keys and no others.
fn object(properties: Vec<(String, Json)>) -> Vec<(String, Json)> {
    vec![
        member("type", text("object")),
        member("properties", Json::Object(properties)),
        member("additionalProperties", Json::Boolean(false)),
    ]
}

fn flag_schema(flag: &Arg) -> Json {
    let one = value_schema(flag);
    let schema = match keys::is_list(flag) {
        true => any_of(vec![one.clone(), list_of(one)]),
        false => one,
    };
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    let Json::Object(mut members) = described(&help, schema) else {
        unreachable!("a described schema is an object");
    };
    let defaults: Vec<Json> = flag
        .get_default_values()
        .iter()
        .map(|value| default_value(flag, &value.to_string_lossy()))
        .collect();
    match (keys::is_list(flag), defaults.as_slice()) {
        (_, []) => {}
        (false, [default, ..]) => members.push(member("default", default.clone())),
        (true, _) => members.push(member("default", Json::Array(defaults))),
    }
    Json::Object(members)
}

fn default_value(flag: &Arg, value: &str) -> Json {
    let forms = keys::forms(flag);
    match value {
        "true" | "false" if forms.contains(&Form::Boolean) => Json::Boolean(value == "true"),
        _ => match value.parse() {
            Ok(number) if forms.contains(&Form::Count) => Json::Number(number),
            _ => text(value),
        },
    }
}

/// What one value may be.
fn value_schema(flag: &Arg) -> Json {
    let forms = keys::forms(flag);
    let is_free = forms
        .iter()
        .any(|form| matches!(form, Form::Path | Form::Text));
    let mut ways = Vec::new();
    let mut words = Vec::new();
    for form in &forms {
        match form {
            Form::Boolean => ways.push(of_type("boolean")),
            Form::Count => ways.push(number(None)),
            Form::Port => ways.push(number(Some(u16::MAX.into()))),
            Form::Size => ways.extend([number(None), pattern(SIZE)]),
            Form::Time => ways.push(pattern(TIME)),
            Form::Path | Form::Text => ways.push(of_type("string")),
            Form::Word(word) => {
                words.extend(number_of(word));
                words.push(text(word));
            }
        }
    }
    // `COUNT|auto`: a number may stand in quotes there. Where any text goes, words need no mention.
    if !words.is_empty() && forms.contains(&Form::Count) {
        ways.push(pattern("[0-9]+"));
    }
    if !words.is_empty() && !is_free {
        ways.push(Json::Object(vec![member("enum", Json::Array(words))]));
    }
    match ways.len() {
        1 => ways.remove(0),
        _ => any_of(ways),
    }
}

/// A word that TOML may write as a number: 406, 1.2.
fn number_of(word: &str) -> Option<Json> {
    if !word.starts_with(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    match (word.parse(), word.parse::<f64>()) {
        (Ok(number), _) => Some(Json::Number(number)),
        (_, Ok(_)) => Some(Json::Fraction(word.to_owned())),
        _ => None,
    }
}

/// A whole number from zero.
fn number(most: Option<i64>) -> Json {
    let mut members = vec![
        member("type", text("integer")),
        member("minimum", Json::Number(0)),
    ];
    members.extend(most.map(|most| member("maximum", Json::Number(most))));
    Json::Object(members)
}

fn pattern(pattern: &str) -> Json {
    Json::Object(vec![
        member("type", text("string")),
        member("pattern", text(&format!("^({pattern})$"))),
    ])
}

fn texts() -> Json {
    any_of(vec![of_type("string"), list_of(of_type("string"))])
}

fn list_of(items: Json) -> Json {
    Json::Object(vec![member("type", text("array")), member("items", items)])
}

fn any_of(ways: Vec<Json>) -> Json {
    Json::Object(vec![member("anyOf", Json::Array(ways))])
}

fn of_type(name: &str) -> Json {
    Json::Object(vec![member("type", text(name))])
}

fn described(what: &str, schema: Json) -> Json {
    let mut members = vec![member("description", text(what))];
    match schema {
        Json::Object(more) => members.extend(more),
        other => members.push(member("anyOf", Json::Array(vec![other]))),
    }
    Json::Object(members)
}

fn member(name: &str, value: Json) -> (String, Json) {
    (name.to_owned(), value)
}

fn text(text: &str) -> Json {
    Json::String(text.to_owned())
}
