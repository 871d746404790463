//! A JSON schema (draft 2020-12) of configuration files, from the definition of the flags.

use super::args;
use super::keys::{self, Form};
use super::rule_table;

/// The schema, for editors.
pub fn schema() -> String {
    let site = object(&with_site_keys(properties(&args::site_definition())));
    let mut all = properties(&args::serve_definition());
    all.push(("rule".to_owned(), list_of(&rule())));
    all.push(("site".to_owned(), list_of(&site)));
    let body = object(&all);
    format!(
        "{{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\
         \"title\":\"downpour\",{}\n",
        &body[1..]
    )
}

type Property = (String, String);

fn properties(definition: &clap::Command) -> Vec<Property> {
    let property = |flag: &clap::Arg| (keys::name(flag).to_owned(), described(flag));
    keys::keys(definition).map(property).collect()
}

fn with_site_keys(mut properties: Vec<Property>) -> Vec<Property> {
    let text = "{\"type\":\"string\"}";
    properties.push(("names".to_owned(), or_list(text)));
    properties.push(("default".to_owned(), "{\"type\":\"boolean\"}".to_owned()));
    properties.push(("rule".to_owned(), list_of(&rule())));
    properties
}

fn rule() -> String {
    let text = "{\"type\":\"string\"}";
    let mut properties = vec![("path".to_owned(), text.to_owned())];
    for (key, _) in rule_table::KEYS {
        let form = match *key {
            "maintenance" => "{\"type\":\"boolean\"}".to_owned(),
            _ => or_list(text),
        };
        properties.push(((*key).to_owned(), form));
    }
    let headers = format!(
        "{{\"type\":\"object\",\"additionalProperties\":{}}}",
        or_list(text)
    );
    properties.push(("headers".to_owned(), headers));
    properties.push(("status".to_owned(), "{\"type\":\"integer\"}".to_owned()));
    object(&properties)
}

fn described(flag: &clap::Arg) -> String {
    let forms: Vec<String> = keys::forms(flag).iter().map(form).collect();
    let forms = match forms.len() {
        1 => forms.concat(),
        _ => format!("{{\"anyOf\":[{}]}}", forms.join(",")),
    };
    let forms = match keys::is_list(flag) {
        true => or_list(&forms),
        false => forms,
    };
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults = flag.get_default_values();
    let default = defaults
        .first()
        .map(|text| text.to_string_lossy().into_owned());
    let default = match default.as_deref() {
        None => String::new(),
        Some(boolean @ ("true" | "false")) => format!(",\"default\":{boolean}"),
        Some(text) if text.parse::<u32>().is_ok() => format!(",\"default\":{text}"),
        Some(text) => format!(",\"default\":{}", quote(text)),
    };
    format!(
        "{{\"description\":{}{default},{}",
        quote(&help),
        &forms[1..]
    )
}

fn form(form: &Form) -> String {
    match form {
        Form::Boolean => "{\"type\":\"boolean\"}".to_owned(),
        Form::Count => "{\"type\":\"integer\",\"minimum\":0}".to_owned(),
        Form::Port => "{\"type\":[\"integer\",\"string\"]}".to_owned(),
        Form::Size => "{\"type\":[\"integer\",\"string\"]}".to_owned(),
        Form::Time | Form::Path | Form::Text => "{\"type\":\"string\"}".to_owned(),
        Form::Word(word) => match word.parse::<u32>() {
            Ok(number) => format!("{{\"enum\":[{number},{}]}}", quote(word)),
            Err(_) => format!("{{\"const\":{}}}", quote(word)),
        },
    }
}

fn or_list(item: &str) -> String {
    format!("{{\"anyOf\":[{item},{}]}}", list_of(item))
}

fn list_of(item: &str) -> String {
    format!("{{\"type\":\"array\",\"items\":{item}}}")
}

fn object(properties: &[Property]) -> String {
    let properties: Vec<String> = properties
        .iter()
        .map(|(name, schema)| format!("{}:{schema}", quote(name)))
        .collect();
    format!(
        "{{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{{{}}}}}",
        properties.join(",")
    )
}

/// A string of JSON.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            letter if letter.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_json_and_names_every_key() {
        let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        for flag in keys::keys(&args::serve_definition()) {
            let property = &properties[keys::name(flag)];
            assert!(property["description"].is_string(), "{}", keys::name(flag));
        }
        assert_eq!(properties["workers"]["anyOf"][0]["type"], "integer");
        assert_eq!(properties["quiet"]["default"], false);
        let site = &properties["site"]["items"];
        assert_eq!(site["additionalProperties"], false);
        for flag in keys::keys(&args::site_definition()) {
            assert!(site["properties"][keys::name(flag)].is_object());
        }
        for key in super::super::file::SITE_KEYS {
            assert!(site["properties"][*key].is_object(), "{key}");
        }
        for key in rule_table::OWN_KEYS {
            assert!(
                properties["rule"]["items"]["properties"][*key].is_object(),
                "{key}"
            );
        }
    }
}
