//! The schema takes what the file takes.

use toml::de::{DeTable, DeValue};

use super::super::schema::{Json, schema};
use super::*;

#[test]
fn the_schema_has_every_key_and_no_other() {
    let schema = schema();
    let keys_of = |schema: &Json| match schema.get("properties").unwrap() {
        Json::Object(members) => members
            .iter()
            .map(|(key, _)| key.clone())
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let serve = serve();
    let mut known: Vec<&str> = keys::keys(&serve).map(keys::name).collect();
    known.extend(["site", "rule"]);
    assert_eq!(keys_of(&schema), known);
    let items = |schema: &Json, key: &str| {
        let properties = schema.get("properties").unwrap();
        properties.get(key).unwrap().get("items").unwrap().clone()
    };
    let (of_site, rule) = (items(&schema, "site"), items(&schema, "rule"));
    let (site, mut rule_keys) = (site(), keys_of(&rule));
    let mut known: Vec<&str> = keys::keys(&site).map(keys::name).collect();
    known.extend(["names", "default", "rule"]);
    assert_eq!(keys_of(&of_site), known);
    let mut known: Vec<&str> = rule_table::KEYS.iter().map(|(key, _)| *key).collect();
    known.extend(rule_table::OWN_KEYS);
    known.sort_unstable();
    rule_keys.sort_unstable();
    assert_eq!(rule_keys, known);
}

#[test]
fn the_schema_takes_what_the_file_takes() {
    let schema = schema();
    let conforms = |text: &str| {
        let table = DeTable::parse(text).unwrap();
        fits(&DeValue::Table(table.into_inner()), &schema)
    };
    assert!(conforms(&example()));
    for (key, value) in SAMPLES {
        assert!(conforms(&format!("{key} = {value}")), "{key} = {value}");
    }
    for text in [
        "port = [0, 65535]",
        "unknown-host = 421",
        "tls-min-version = \"1.2\"",
        "[[rule]]\npath = \"/a\"\nheaders = { A = [\"b\", \"c\"], D = false }",
        "[[rule]]\npath = \"/a\"\nerror-page = { 404 = \"/404.html\" }",
        "[[rule]]\npath = \"/a\"\nerror-page = [\"404=/404.html\"]\nmaintenance = true",
        "[[rule]]\npath = \"*\"\ncors = \"https://a.example\"\nlimit = [\"1/s\", \"9/m by=user\"]",
        "[[rule]]\npath = \"/a\"\naccess = \"write=user:ada\"\nwritable = true\nallow = \"::1\"",
        "proxy-protocol = true\nrequest-id = \"on\"",
        "max-in-flight = \"off\"\nsend-rate = 4096\nmetrics = \"off\"",
    ] {
        assert!(conforms(text), "{text}");
        below(place(text).path(), &[]).unwrap();
    }
    for text in [
        "zzz = 1",
        "quiet = 1",
        "backlog = \"x\"",
        "backlog = -1",
        "port = -1",
        "port = 65536",
        "https-redirect = 65536",
        "https-redirect = \"443\"",
        "tls-min-version = 1.1",
        "[[rule]]\npath = \"/a\"\nheaders = { A = true }",
        "[[rule]]\npath = \"/a\"\nerror-page = { 404 = 1 }",
        "watch = \"on\"",
        "proxy-protocol = 1",
        "max-in-flight = true",
        "[[rule]]\npath = \"/a\"\nwritable = \"/b\"",
        "[[rule]]\npath = \"/a\"\nrealm = \"b\"",
        "root = [\"a\"]",
        "[[site]]\nworkers = 1",
        "[[rule]]\nheader = \"A: b\"",
    ] {
        assert!(!conforms(text), "{text}");
        assert!(below(place(text).path(), &[]).is_err(), "{text}");
    }
}

/// As much of a validator as the schema needs; patterns are not looked at.
fn fits(value: &DeValue<'_>, schema: &Json) -> bool {
    let type_fits = match schema.get("type") {
        None => true,
        Some(Json::String(name)) => match value {
            DeValue::Integer(_) => name == "integer",
            DeValue::Table(_) => name == "object",
            other => name == other.type_str(),
        },
        other => panic!("{other:?}"),
    };
    let any_fits = match schema.get("anyOf") {
        Some(Json::Array(ways)) => ways.iter().any(|way| fits(value, way)),
        _ => true,
    };
    let enum_fits = match schema.get("enum") {
        Some(Json::Array(words)) => words.iter().any(|word| match (word, value) {
            (Json::String(word), DeValue::String(text)) => word == text,
            (Json::Number(word), DeValue::Integer(text)) => word.to_string() == text.as_str(),
            (Json::Fraction(word), DeValue::Float(text)) => word == text.as_str(),
            _ => false,
        }),
        _ => true,
    };
    let const_fits = schema.get("const").is_none() || value.as_bool() == Some(false);
    let least_fits = schema.get("minimum").is_none()
        || value
            .as_integer()
            .is_none_or(|number| !number.as_str().starts_with('-'));
    let most_fits = match (schema.get("maximum"), value.as_integer()) {
        (Some(Json::Number(most)), Some(number)) => {
            number.as_str().parse::<i64>().is_ok_and(|it| it <= *most)
        }
        _ => true,
    };
    let items_fit = match (schema.get("items"), value) {
        (Some(items), DeValue::Array(array)) => array.iter().all(|one| fits(one.get_ref(), items)),
        _ => true,
    };
    let members_fit = value.as_table().is_none_or(|table| {
        let further = schema.get("additionalProperties");
        let fits_further = |value: &DeValue<'_>| match further {
            Some(Json::Boolean(allowed)) => *allowed,
            Some(schema) => fits(value, schema),
            None => true,
        };
        let has_all = match schema.get("required") {
            Some(Json::Array(names)) => names.iter().all(|name| match name {
                Json::String(name) => table.iter().any(|(key, _)| key.get_ref() == name),
                other => panic!("{other:?}"),
            }),
            _ => true,
        };
        let known = schema.get("properties");
        has_all
            && table.iter().all(|(key, value)| {
                match known.and_then(|known| known.get(key.get_ref())) {
                    Some(schema) => fits(value.get_ref(), schema),
                    None => fits_further(value.get_ref()),
                }
            })
    });
    type_fits
        && any_fits
        && enum_fits
        && const_fits
        && least_fits
        && most_fits
        && items_fit
        && members_fit
}
